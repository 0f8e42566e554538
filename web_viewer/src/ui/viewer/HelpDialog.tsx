import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { CT_PRESETS } from '../../data/presets'
import { Dialog } from '../Dialog'

export function HelpDialog({ onClose }: { onClose: () => void }): ReactElement {
  const { t } = useTranslation()
  const keys: [string, string][] = [
    ['↑ ↓ ← →', t('help.step')],
    ['PageUp PageDown', t('help.page')],
    ['Home End', t('help.ends')],
    ['Space', t('help.play')],
    ['[ ]', t('help.series')],
    [
      'S W Z P L',
      [t('tools.scroll'), t('tools.windowLevel'), t('tools.zoom'), t('tools.pan'), t('tools.length')].join(
        ' · ',
      ),
    ],
    ['R I', [t('tools.reset'), t('tools.invert')].join(' · ')],
    ['Delete', t('help.deleteAll')],
  ]
  const mouse: [string, string][] = [
    [t('help.leftButton'), t('help.left')],
    [t('help.rightButton'), t('help.right')],
    [t('help.middleButton'), t('help.middle')],
    [t('help.wheelName'), t('help.wheel')],
    [t('help.oneFingerName'), t('help.oneFinger')],
    [t('help.twoFingersName'), t('help.twoFingers')],
  ]
  return (
    <Dialog className="help" testId="help" title={t('help.title')} onClose={onClose}>
      <div className="help-columns">
        <Table caption={t('help.keys')} rows={keys} />
        <div>
          <Table caption={`${t('help.mouse')} · ${t('help.touch')}`} rows={mouse} />
          <Table
            caption={t('help.presets')}
            rows={CT_PRESETS.map(({ key, name, width, center }) => [
              key,
              `${t(`presets.${name}`)}  ${width} / ${center}`,
            ])}
          />
        </div>
      </div>
    </Dialog>
  )
}

function Table({ caption, rows }: { caption: string; rows: [string, string][] }): ReactElement {
  return (
    <table>
      <caption>{caption}</caption>
      <tbody>
        {rows.map(([key, meaning]) => (
          <tr key={key}>
            <th scope="row">
              <kbd>{key}</kbd>
            </th>
            <td>{meaning}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
