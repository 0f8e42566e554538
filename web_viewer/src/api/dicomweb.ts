import { getJson, request } from './http'
import { parameters, singlePart } from './multipart'

/** A data set in the DICOM JSON model (PS3.18 F.2), keyed by tags such as `00280010`. */
export type Dataset = Record<
  string,
  { vr: string; Value?: unknown[]; InlineBinary?: string; BulkDataURI?: string }
>

export interface FrameBytes {
  bytes: Uint8Array<ArrayBuffer>
  transferSyntax: string
}

const root = '/dicom-web'

export const seriesPath = (study: string, series: string): string =>
  `${root}/studies/${study}/series/${series}`
export const instancePath = (study: string, series: string, sop: string): string =>
  `${seriesPath(study, series)}/instances/${sop}`

/** Transfer syntaxes that a bare media type stands for (PS3.18 table 8.7.3-5). */
const DEFAULT_SYNTAX: Record<string, string> = {
  'application/octet-stream': '1.2.840.10008.1.2.1',
  'image/jpeg': '1.2.840.10008.1.2.4.70',
  'image/dicom-rle': '1.2.840.10008.1.2.5',
  'image/x-dicom-rle': '1.2.840.10008.1.2.5',
  'image/jls': '1.2.840.10008.1.2.4.80',
  'image/jp2': '1.2.840.10008.1.2.4.90',
  'image/jpx': '1.2.840.10008.1.2.4.92',
}

export function transferSyntaxOf(contentType: string): string | null {
  const stated = parameters(contentType).get('transfer-syntax')
  if (stated && stated !== '*') return stated
  return DEFAULT_SYNTAX[contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''] ?? null
}

/** As it is stored. */
export const ANY_SYNTAX = '*'
export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1'

/** One frame; `frame` counts from 1. */
export async function fetchFrame(path: string, frame: number, syntax = ANY_SYNTAX): Promise<FrameBytes> {
  const response = await request(`${path}/frames/${frame}`, {
    accept: `multipart/related; type="application/octet-stream"; transfer-syntax=${syntax}`,
  })
  const outer = response.headers.get('Content-Type') ?? ''
  const part = singlePart(outer, await response.arrayBuffer())
  const transferSyntax = transferSyntaxOf(part.contentType)
  if (!transferSyntax) throw new Error(`unknown media type ${part.contentType}`)
  return { bytes: part.body, transferSyntax }
}

export const fetchMetadata = (path: string, signal?: AbortSignal): Promise<Dataset[]> =>
  getJson(`${path}/metadata`, signal, 'application/dicom+json')

export async function fetchBlob(path: string, accept: string, signal?: AbortSignal): Promise<Blob> {
  const response = await request(path, { accept, signal })
  return response.blob()
}
