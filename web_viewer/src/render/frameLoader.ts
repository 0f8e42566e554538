import { cache, imageLoader, type Types } from '@cornerstonejs/core'
import dicomImageLoader from '@cornerstonejs/dicom-image-loader'
import { Enums, utilities } from '@cornerstonejs/metadata'
import {
  ANY_SYNTAX,
  type Dataset,
  EXPLICIT_LITTLE_ENDIAN,
  type FrameBytes,
  fetchFrame,
  instancePath,
} from '../api/dicomweb'
import { number, numbers, pixelSpacing, TAG, text } from '../data/dicom'
import type { FrameRef } from '../data/items'
import { type SeriesMetadata, seriesMetadata } from '../data/metadata'
import { ImageError } from './errors'
import { canDecode, JPEG_EXTENDED, NATIVE } from './syntaxes'
import { clearUnusedBits } from './unusedBits'

export type LoadOptions = Parameters<typeof imageLoader.loadAndCacheImage>[1]

export interface Source {
  ref: FrameRef
  metadata: SeriesMetadata
}

const SCHEME = 'wadors'

const sources = new Map<string, Source>()
const described = new Set<string>()

const baseId = (ref: FrameRef): string => `${SCHEME}:${instancePath(ref.studyUid, ref.seriesUid, ref.sopUid)}`

/** Makes a frame known to the loader and names it. */
export function imageIdOf(ref: FrameRef): string {
  const imageId = `${baseId(ref)}/frames/${ref.frame}`
  if (!sources.has(imageId)) {
    sources.set(imageId, { ref, metadata: seriesMetadata(ref.studyUid, ref.seriesUid) })
  }
  return imageId
}

export const sourceOf = (imageId: string): Source | undefined => sources.get(imageId)

export const datasetOf = (imageId: string): Dataset | undefined => {
  const source = sources.get(imageId)
  return source?.metadata.get(source.ref.sopUid)
}

/**
 * One image, from the cache or the server. Put into the cache here, because cornerstone's own way
 * there leaves every failure unhandled once more.
 */
export function loadImage(imageId: string, options: LoadOptions, later = false): Promise<Types.IImage> {
  const cached = cache.getImageLoadObject(imageId)
  if (cached) return cached.promise as Promise<Types.IImage>
  const promise = load(imageId, options ?? {}, later)
  cache.putImageLoadObject(imageId, { promise }).catch(() => {})
  return promise
}

/** Cornerstone does not know Pixel Aspect Ratio (0028,0034): for drawing only, it becomes a spacing. */
function drawable(dataset: Dataset): Dataset {
  const [vertical, horizontal] = numbers(dataset, TAG.aspectRatio)
  if (!vertical || !horizontal || vertical === horizontal || pixelSpacing(dataset, 1).length > 0)
    return dataset
  return { ...dataset, [TAG.pixelSpacing]: { vr: 'DS', Value: [vertical / horizontal, 1] } }
}

function describe(ref: FrameRef, dataset: Dataset): void {
  if (number(dataset, TAG.rows) === null || number(dataset, TAG.bitsAllocated) === null) {
    throw new ImageError('metadata', 'Rows, Bits Allocated')
  }
  const palette = dataset[TAG.redPaletteData]
  const segmented = dataset[TAG.segmentedRedPaletteData]
  const inline = palette?.InlineBinary ?? palette?.Value ?? segmented?.InlineBinary ?? segmented?.Value
  // The decoder would wait for ever for a table that is not there.
  if (text(dataset, TAG.photometric) === 'PALETTE COLOR' && !inline) {
    throw new ImageError('palette', 'Red Palette Color Lookup Table Data')
  }
  const base = baseId(ref)
  if (described.has(base)) return
  utilities.addDicomWebInstance(base, drawable(dataset))
  described.add(base)
}

/** A short or long frame would be shown shifted or torn: refuse it instead. */
function checkLength(dataset: Dataset, { bytes, transferSyntax }: FrameBytes): void {
  if (bytes.length === 0) throw new ImageError('length', '0')
  if (!NATIVE.has(transferSyntax)) return
  const bits = number(dataset, TAG.bitsAllocated) ?? 0
  const samples = number(dataset, TAG.samples) ?? 1
  const subsampled = text(dataset, TAG.photometric) === 'YBR_FULL_422' ? 2 / 3 : 1
  const pixels = (number(dataset, TAG.rows) ?? 0) * (number(dataset, TAG.columns) ?? 0)
  const expected = Math.ceil((pixels * samples * bits * subsampled) / 8)
  // An odd frame is padded to an even length (PS3.5 8.1.1).
  if (bytes.length !== expected && bytes.length !== expected + (expected % 2)) {
    throw new ImageError('length', `${bytes.length} ≠ ${expected}`)
  }
}

/** The browser's decoder is off by 15 steps for 12-bit JPEG (measured against DCMTK), so the server decodes it. */
const syntaxToAsk = (ref: FrameRef): string =>
  ref.instance.transfer_syntax === JPEG_EXTENDED ? EXPLICIT_LITTLE_ENDIAN : ANY_SYNTAX

/** Float Pixel Data (7FE0,0008) has no Pixel Representation; by itself the loader would cut it to whole numbers. */
const isFloat = (dataset: Dataset): boolean =>
  number(dataset, TAG.bitsAllocated) === 32 && number(dataset, TAG.pixelRepresentation) === null

async function decode(
  imageId: string,
  dataset: Dataset,
  frame: FrameBytes,
  options: object,
): Promise<Types.IImage> {
  if (!canDecode(frame.transferSyntax, number(dataset, TAG.bitsAllocated))) {
    throw new ImageError('unsupported', frame.transferSyntax)
  }
  checkLength(dataset, frame)
  if (NATIVE.has(frame.transferSyntax)) clearUnusedBits(dataset, frame)
  try {
    const { bytes, transferSyntax } = frame
    const typed = isFloat(dataset) ? { ...options, targetBuffer: { type: 'Float32Array' } } : options
    // The loader's types want a view that only Node hands out.
    const image = await dicomImageLoader.createImage(imageId, bytes as never, transferSyntax, typed)
    return image as Types.IImage
  } catch (error) {
    throw new ImageError(
      'decode',
      `${frame.transferSyntax}: ${error instanceof Error ? error.message : error}`,
    )
  }
}

/** `later`: the image is not wanted yet, so it may wait for the metadata of the whole series. */
async function load(imageId: string, options: object, later: boolean): Promise<Types.IImage> {
  const source = sources.get(imageId)
  if (!source) throw new ImageError('metadata', imageId)
  const { ref, metadata } = source
  const wanted = later ? metadata.needLater(ref.sopUid) : metadata.need(ref.sopUid)
  const path = instancePath(ref.studyUid, ref.seriesUid, ref.sopUid)
  const [dataset, frame] = await Promise.all([wanted, fetchFrame(path, ref.frame, syntaxToAsk(ref))])
  describe(ref, dataset)
  return decode(imageId, dataset, frame, options)
}

/** Takes the place of the loader's own network code: one door for token, errors and checks. */
export function registerFrameLoader(): void {
  imageLoader.registerImageLoader(SCHEME, ((imageId: string, options: object = {}) => ({
    promise: load(imageId, options, false),
  })) as unknown as Types.ImageLoaderFn)
}

/** Drops pixels and descriptions, for the end of a session. */
export function forgetFrames(): void {
  cache.purgeCache()
  utilities.clearTypedCacheData(Enums.MetadataModules.NATURALIZED)
  sources.clear()
  described.clear()
}
