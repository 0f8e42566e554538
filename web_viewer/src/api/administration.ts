import { getJson, request } from './http'

export type UserRole = 'administrator' | 'clinician' | 'radiologist' | 'technologist' | 'auditor'
export type Tier = '' | 'province' | 'city' | 'county' | 'township'
export type Scope = 'none' | 'registered' | 'region'
export type DeviceRole = 'store' | 'query' | 'retrieve' | 'worklist'

/** An account and how it stands; moments are ISO 8601. `facility` null: of the region. */
export interface Account {
  name: string
  display_name: string
  role: UserRole
  facility: string | null
  department: string | null
  active: boolean
  must_change: boolean
  second_factor: boolean
  sessions: number
  last_sign_in: string | null
  closed_until: string | null
}

export interface AccountPage {
  users: Account[]
  next_after: string | null
}

export type Place = Pick<Account, 'display_name' | 'role' | 'facility' | 'department'>

export interface Facility {
  code: string
  name: string
  name_en: string
  tier: Tier
  grade: string
}

export interface ListedFacility extends Facility {
  scope: Scope
}

export interface Policy {
  scope: Scope
  modalities: string[]
  sensitive_body_parts: string[]
}

export interface Department {
  code: string
  name: string
}

export interface NewDevice {
  facility: string
  ae_title: string
  address: string
  description: string
  roles: DeviceRole[]
  charset: string
  syntaxes: string[]
  certificate: string
  associations_max: number | null
  emergency: boolean
}

export interface Device extends NewDevice {
  id: number
}

/** A node that we call. */
export interface Remote {
  id: number
  name: string
  facility: string
  ae_title: string
  host: string
  port: number
}

/** What came of a C-ECHO. */
export interface Echo {
  answered: boolean
  milliseconds: number | null
  error: string
}

const of = (name: string): string => encodeURIComponent(name)

async function send(method: string, path: string, json?: unknown): Promise<void> {
  await request(path, json === undefined ? { method } : { method, json })
}

export function fetchAccounts(
  facility: string,
  words: string,
  after: string | null,
  signal?: AbortSignal,
): Promise<AccountPage> {
  const query = new URLSearchParams()
  if (facility) query.set('facility', facility)
  if (words.trim()) query.set('q', words.trim())
  if (after !== null) query.set('after', after)
  return getJson(`/api/users?${query}`, signal)
}

/** Their password is good for one sign-in, at which they choose another. */
export const addAccount = (name: string, password: string, place: Place): Promise<void> =>
  send('POST', '/api/users', { name, password, ...place, must_change: true })

export const changeAccount = (name: string, change: Partial<Place> & { active?: boolean }): Promise<void> =>
  send('PATCH', `/api/users/${of(name)}`, change)

export const givePassword = (name: string, password: string): Promise<void> =>
  send('PUT', `/api/users/${of(name)}/password`, { password })

export const endSessions = (name: string): Promise<void> => send('POST', `/api/users/${of(name)}/sign-out`)

export const unlock = (name: string): Promise<void> => send('POST', `/api/users/${of(name)}/unlock`)

export const forgetFactor = (name: string): Promise<void> =>
  send('DELETE', `/api/users/${of(name)}/second-factor`)

export async function fetchFacilities(signal?: AbortSignal): Promise<ListedFacility[]> {
  return (await getJson<{ facilities: ListedFacility[] }>('/api/facilities', signal)).facilities
}

export const addFacility = (facility: Facility): Promise<void> => send('POST', '/api/facilities', facility)

export const changeFacility = (code: string, change: Omit<Facility, 'code'>): Promise<void> =>
  send('PATCH', `/api/facilities/${of(code)}`, change)

export const fetchPolicy = (code: string, signal?: AbortSignal): Promise<Policy> =>
  getJson(`/api/facilities/${of(code)}/sharing`, signal)

export const setPolicy = (code: string, policy: Policy): Promise<void> =>
  send('PUT', `/api/facilities/${of(code)}/sharing`, policy)

export async function fetchDepartments(code: string, signal?: AbortSignal): Promise<Department[]> {
  const path = `/api/facilities/${of(code)}/departments`
  return (await getJson<{ departments: Department[] }>(path, signal)).departments
}

/** Of a code that is there the name is changed. */
export const saveDepartment = (code: string, department: Department): Promise<void> =>
  send('POST', `/api/facilities/${of(code)}/departments`, department)

export async function fetchDevices(signal?: AbortSignal): Promise<Device[]> {
  return (await getJson<{ devices: Device[] }>('/api/devices', signal)).devices
}

export const addDevice = (device: NewDevice): Promise<void> => send('POST', '/api/devices', device)

export const changeDevice = (id: number, change: NewDevice): Promise<void> =>
  send('PATCH', `/api/devices/${id}`, change)

export const removeDevice = (id: number): Promise<void> => send('DELETE', `/api/devices/${id}`)

export async function fetchRemotes(signal?: AbortSignal): Promise<Remote[]> {
  return (await getJson<{ remotes: Remote[] }>('/api/remotes', signal)).remotes
}

export async function echo(remote: Remote): Promise<Echo> {
  const response = await request(`/api/remotes/${remote.id}/echo`, { method: 'POST' })
  return (await response.json()) as Echo
}
