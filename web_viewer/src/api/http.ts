import { renewed, renewInTime } from './renewal'
import { expireSession, getSession } from './session'

/** A request that failed: `status` 0 means that the server could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string | null = null,
    /** The last word of the problem's type, such as `not-found`. */
    readonly word: string | null = null,
  ) {
    super(detail ?? title)
    this.name = 'ApiError'
  }
}

/** Reads RFC 9457 problem details; a body of another kind leaves only the status. */
async function problem(response: Response): Promise<ApiError> {
  const type = response.headers.get('Content-Type') ?? ''
  if (type.includes('json')) {
    const body = (await response.json().catch(() => null)) as {
      title?: string
      detail?: string
      type?: string
    } | null
    if (body) {
      const word = body.type?.split('/').at(-1) ?? null
      return new ApiError(response.status, body.title ?? response.statusText, body.detail ?? null, word)
    }
  }
  return new ApiError(response.status, response.statusText)
}

export interface RequestOptions {
  accept?: string
  signal?: AbortSignal | undefined
  body?: BodyInit
  method?: string
  json?: unknown
  /** Of a sign-in that is not complete; else the session's. */
  token?: string
}

function asked(path: string, options: RequestOptions, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { Accept: options.accept ?? 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  if (options.json !== undefined) headers['Content-Type'] = 'application/json'
  const body = options.json === undefined ? options.body : JSON.stringify(options.json)
  return fetch(path, {
    method: options.method ?? 'GET',
    headers,
    ...(body === undefined ? {} : { body }),
    ...(options.signal ? { signal: options.signal } : {}),
  })
}

/** Renews the access token before it expires, or when the server says that it has. */
async function answered(path: string, options: RequestOptions): Promise<Response> {
  if (options.token) return asked(path, options, options.token)
  await renewInTime()
  const { token } = getSession()
  const response = await asked(path, options, token)
  if (response.status !== 401 || !token) return response
  const next = await renewed(token)
  if (next) return asked(path, options, next)
  expireSession(token)
  return response
}

export async function request(path: string, options: RequestOptions = {}): Promise<Response> {
  let response: Response
  try {
    response = await answered(path, options)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'network')
  }
  if (response.ok) return response
  throw await problem(response)
}

export async function getJson<T>(path: string, signal?: AbortSignal, accept?: string): Promise<T> {
  const response = await request(path, accept ? { accept, signal } : { signal })
  return (await response.json()) as T
}
