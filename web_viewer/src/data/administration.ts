import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query'
import {
  type Account,
  type Device,
  fetchAccounts,
  fetchDepartments,
  fetchDevices,
  fetchFacilities,
  fetchPolicy,
  fetchRemotes,
  type Remote,
} from '../api/administration'
import { type Paged, pagedBy } from './paged'

/** All that this page reads is known under this key, and read anew after each change. */
export const KEY = 'administration'

/** Whether somebody of this role administers. The server decides; this only hides the way to it. */
export const administers = (role: string | null | undefined): boolean => role === 'administrator'

export interface AccountList extends Paged {
  accounts: Account[]
}

/** By name; of all facilities that one looks after where none is said. */
export function useAccounts(facility: string, words: string): AccountList {
  const pages = useInfiniteQuery({
    queryKey: [KEY, 'accounts', facility, words],
    queryFn: ({ pageParam, signal }) => fetchAccounts(facility, words, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: page => page.next_after,
    placeholderData: keepPreviousData,
  })
  return {
    accounts: pages.data?.pages.flatMap(page => page.users) ?? [],
    ...pagedBy(pages),
  }
}

export const useFacilities = () =>
  useQuery({ queryKey: [KEY, 'facilities'], queryFn: ({ signal }) => fetchFacilities(signal) })

export const usePolicy = (code: string) =>
  useQuery({ queryKey: [KEY, 'policy', code], queryFn: ({ signal }) => fetchPolicy(code, signal) })

export const useDepartments = (code: string | null) =>
  useQuery({
    queryKey: [KEY, 'departments', code],
    queryFn: ({ signal }) => fetchDepartments(code ?? '', signal),
    enabled: Boolean(code),
  })

export const useDevices = () =>
  useQuery({ queryKey: [KEY, 'devices'], queryFn: ({ signal }) => fetchDevices(signal) })

export const useRemotes = () =>
  useQuery({ queryKey: [KEY, 'remotes'], queryFn: ({ signal }) => fetchRemotes(signal) })

/** A change, and what to do once the page shows it. */
export function useChange<T = void>(make: (given: T) => Promise<void>, onDone?: () => void) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: make,
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: [KEY] })
      onDone?.()
    },
  })
}

/** Why somebody cannot sign in now. */
export type Bar = 'disabled' | 'locked'

export function barOf(account: Account, now = Date.now()): Bar | null {
  if (!account.active) return 'disabled'
  return account.closed_until && Date.parse(account.closed_until) > now ? 'locked' : null
}

/** Of a device the node that we call by the same title at the same facility: devices themselves have no port. */
export function remoteOf(device: Device, remotes: Remote[]): Remote | null {
  const same = remotes.filter(one => one.facility === device.facility && one.ae_title === device.ae_title)
  const host = device.address.replace(/\/(32|128)$/, '')
  return same.find(one => one.host === host) ?? same[0] ?? null
}

/** What somebody typed between spaces, commas or 、, each once. */
export const wordsIn = (text: string): string[] => [...new Set(text.split(/[\s,;，、；]+/).filter(Boolean))]

/** Codes in the same way, as the archive writes them. */
export const codesIn = (text: string): string[] => wordsIn(text.toUpperCase())

const CODE = /^[A-Z0-9][A-Z0-9_-]{0,15}$/

/** Whether a facility or department could have this code. */
export const isCode = (text: string): boolean => CODE.test(text)

/** Without letters and digits that are taken for each other when read aloud or from paper. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789'
const GROUPS = 4
const GROUP = 4

/** A password to hand over, good for one sign-in: 80 bits. */
export function madeUpPassword(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(GROUPS * GROUP))
  const letters = Array.from(bytes, byte => LETTERS[byte % LETTERS.length])
  return Array.from({ length: GROUPS }, (_, at) => letters.slice(at * GROUP, (at + 1) * GROUP).join('')).join(
    '-',
  )
}
