import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { addFacility, changeFacility, type Facility, type Tier } from '../../api/administration'
import { isCode, useChange } from '../../data/administration'
import { Dialog } from '../Dialog'
import { facilityName } from '../format'
import { Form } from './Form'
import { Choice, Line } from './fields'

const TIERS = ['province', 'city', 'county', 'township'] as const
const CODE_CHARACTERS_MAX = 16
const NAME_CHARACTERS_MAX = 200
const GRADE_CHARACTERS_MAX = 40
const NOTHING: Facility = { code: '', name: '', name_en: '', tier: '', grade: '' }

interface Props {
  /** None: a new one. */
  facility?: Facility
  onClose: () => void
  onAdded?: (code: string) => void
}

export function FacilityDialog({ facility, onClose, onAdded }: Props): ReactElement {
  const { t, i18n } = useTranslation()
  const [draft, setDraft] = useState<Facility>(facility ?? NOTHING)
  const { code, name, name_en, tier, grade } = draft
  const change = (some: Partial<Facility>): void => setDraft({ ...draft, ...some })
  const save = useChange(
    () =>
      (facility ? changeFacility : adding)(code, {
        name: name.trim(),
        name_en: name_en.trim(),
        tier,
        grade: grade.trim(),
      }),
    () => (facility ? onClose() : onAdded?.(code)),
  )
  const title = facility
    ? t('admin.facilities.edit', { name: facilityName(facility, i18n.language) })
    : t('admin.facilities.add')
  return (
    <Dialog className="form" testId="facility-dialog" title={title} onClose={onClose}>
      <Form
        change={save}
        words={t(facility ? 'admin.save' : 'admin.facilities.add')}
        testId="save-facility"
        ready={isCode(code)}
      >
        {!facility && (
          <Line
            label={t('admin.facilities.code')}
            testId="facility-code"
            value={code}
            max={CODE_CHARACTERS_MAX}
            hint={t('admin.facilities.codeHint')}
            onChange={typed => change({ code: typed.toUpperCase() })}
          />
        )}
        <Line
          label={t('admin.facilities.nameZh')}
          testId="facility-name"
          value={name}
          max={NAME_CHARACTERS_MAX}
          onChange={typed => change({ name: typed })}
        />
        <Line
          label={t('admin.facilities.nameEn')}
          testId="facility-name-en"
          value={name_en}
          max={NAME_CHARACTERS_MAX}
          onChange={typed => change({ name_en: typed })}
        />
        <Choice
          label={t('admin.facilities.tier')}
          testId="facility-tier"
          value={tier}
          options={[
            ['', t('admin.facilities.unsaid')],
            ...TIERS.map(one => [one, t(`admin.facilities.tiers.${one}`)] as const),
          ]}
          onChange={chosen => change({ tier: chosen as Tier })}
        />
        <Line
          label={t('admin.facilities.grade')}
          testId="facility-grade"
          value={grade}
          max={GRADE_CHARACTERS_MAX}
          hint={t('admin.facilities.gradeHint')}
          onChange={typed => change({ grade: typed })}
        />
      </Form>
    </Dialog>
  )
}

const adding = (code: string, rest: Omit<Facility, 'code'>): Promise<void> => addFacility({ code, ...rest })
