import type { TFunction } from 'i18next'
import { ApiError } from '../api/http'

/** An image error of the render layer, known by shape so that the list need not load that layer. */
const IMAGE_CODES = ['decode', 'unsupported', 'length', 'palette', 'metadata'] as const

function imageCode(error: Error): (typeof IMAGE_CODES)[number] | null {
  const code = (error as { code?: unknown }).code
  return IMAGE_CODES.find(one => one === code) ?? null
}

/** An error in the reader's words. */
export function describeError(error: Error, t: TFunction): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return t('errors.network')
    if (error.status === 401) return t('errors.unauthorised')
    if (error.status === 403 || error.status === 404) return t('errors.notFound')
    if (error.status === 429 || error.status === 503) return t('errors.tooMany')
    return t('errors.server', { status: error.status })
  }
  const code = imageCode(error)
  return code ? t(`errors.${code}`) : t('errors.unknown')
}

/** What support would ask for, shown small under the words. */
export function errorDetail(error: Error): string {
  if (error instanceof ApiError)
    return error.status === 0 ? '' : `${error.status} ${error.detail ?? error.title}`
  return error.message
}
