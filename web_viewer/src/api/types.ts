/** The portal's API as the server answers it. Dates are `YYYY-MM-DD`, times `HH:MM:SS`, both may be null. */
export interface Facility {
  code: string
  name: string
  /** Empty where nobody said. */
  name_en: string
}

export interface Study {
  study_uid: string
  patient_name: string | null
  patient_name_ideographic: string | null
  patient_id: string | null
  birth_date: string | null
  sex: string | null
  study_date: string | null
  study_time: string | null
  description: string | null
  accession: string | null
  modalities: string[]
  series_count: number
  instance_count: number
  facility: Facility | null
  thumbnail: string | null
  received_at: string | null
}

export interface StudyPage {
  studies: Study[]
  next_cursor: string | null
}

export interface Instance {
  sop_uid: string
  sop_class: string
  number: number | null
  frames: number
  rows: number | null
  columns: number | null
  transfer_syntax: string
}

export interface Series {
  series_uid: string
  number: number | null
  modality: string
  description: string | null
  body_part: string | null
  instance_count: number
  frame_count: number
  thumbnail: string | null
  viewable: boolean
  instances: Instance[]
}

export interface Manifest extends Study {
  series: Series[]
}

export interface Me {
  user: string
  display_name: string | null
  role: string | null
  /** Null for who works for the region. */
  facility: string | null
}

/** Which viewers are installed beside this one. */
export interface Viewers {
  ohif: boolean
}

/** What the study list is narrowed by; empty strings and arrays mean no limit. */
export interface StudyFilter {
  q: string
  modalities: string[]
  from: string
  to: string
}
