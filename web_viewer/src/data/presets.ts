/** CT windows in HU, by the keys 1 to 8. */
export interface Preset {
  name: 'softTissue' | 'lung' | 'bone' | 'brain' | 'mediastinum' | 'liver' | 'stroke' | 'angio'
  center: number
  width: number
  key: string
}

export const CT_PRESETS: readonly Preset[] = [
  { name: 'softTissue', center: 40, width: 400, key: '1' },
  { name: 'lung', center: -600, width: 1500, key: '2' },
  { name: 'bone', center: 400, width: 1800, key: '3' },
  { name: 'brain', center: 40, width: 80, key: '4' },
  { name: 'mediastinum', center: 50, width: 350, key: '5' },
  { name: 'liver', center: 60, width: 160, key: '6' },
  { name: 'stroke', center: 35, width: 35, key: '7' },
  { name: 'angio', center: 300, width: 600, key: '8' },
]

export interface Voi {
  lower: number
  upper: number
}

/** The range of the linear VOI function (PS3.3 C.11.2.1.2.1), and back. */
export function toVoi(center: number, width: number): Voi {
  return { lower: center - 0.5 - (width - 1) / 2, upper: center - 0.5 + (width - 1) / 2 }
}

export function fromVoi(voi: Voi): { center: number; width: number } {
  return { center: (voi.lower + voi.upper + 1) / 2, width: Math.abs(voi.upper - voi.lower) + 1 }
}
