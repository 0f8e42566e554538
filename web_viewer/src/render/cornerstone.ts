import { cache, init as initCore, RenderingEngine } from '@cornerstonejs/core'
import dicomImageLoader from '@cornerstonejs/dicom-image-loader'
import { init as initTools } from '@cornerstonejs/tools'
import { forgetFrames, registerFrameLoader } from './frameLoader'

const ENGINE = 'tongying'
const MIB = 1024 * 1024

/** Bytes for decoded images: a share of what the browser says the device has, at most 1.5 GiB. */
export function cacheBytes(deviceMemoryGiB: number | undefined): number {
  const memory = deviceMemoryGiB ?? 4
  if (memory >= 8) return 1536 * MIB
  if (memory >= 4) return 768 * MIB
  return memory >= 2 ? 320 * MIB : 160 * MIB
}

let engine: RenderingEngine | null = null

/** The order matters: the loader's init empties the cache and forgets all metadata. */
export function renderingEngine(): RenderingEngine {
  if (engine) return engine
  const isMobile = matchMedia('(pointer: coarse)').matches
  initCore({ isMobile } as Parameters<typeof initCore>[0])
  cache.setMaxCacheSize(cacheBytes((navigator as { deviceMemory?: number }).deviceMemory))
  const cores = navigator.hardwareConcurrency || 2
  dicomImageLoader.init({ maxWebWorkers: Math.max(1, Math.min(4, cores - 1)) })
  registerFrameLoader()
  initTools()
  engine = new RenderingEngine(ENGINE)
  return engine
}

/** Nothing to forget where no viewer was opened. */
export function forgetImages(): void {
  if (engine) forgetFrames()
}
