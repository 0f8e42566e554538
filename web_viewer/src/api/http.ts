import { expireSession, getSession } from './session'

/** A request that failed: `status` 0 means that the server could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string | null = null,
  ) {
    super(detail ?? title)
    this.name = 'ApiError'
  }
}

/** Reads RFC 9457 problem details; a body of another kind leaves only the status. */
async function problem(response: Response): Promise<ApiError> {
  const type = response.headers.get('Content-Type') ?? ''
  if (type.includes('json')) {
    const body = (await response.json().catch(() => null)) as { title?: string; detail?: string } | null
    if (body) return new ApiError(response.status, body.title ?? response.statusText, body.detail ?? null)
  }
  return new ApiError(response.status, response.statusText)
}

export interface RequestOptions {
  accept?: string
  signal?: AbortSignal | undefined
  body?: BodyInit
  method?: string
}

export async function request(path: string, options: RequestOptions = {}): Promise<Response> {
  const { token } = getSession()
  const headers: Record<string, string> = { Accept: options.accept ?? 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  let response: Response
  try {
    response = await fetch(path, {
      method: options.method ?? 'GET',
      headers,
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'network')
  }
  if (response.ok) return response
  if (response.status === 401) expireSession(token)
  throw await problem(response)
}

export async function getJson<T>(path: string, signal?: AbortSignal, accept?: string): Promise<T> {
  const response = await request(path, accept ? { accept, signal } : { signal })
  return (await response.json()) as T
}
