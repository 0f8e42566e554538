import { useQuery } from '@tanstack/react-query'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { FrameRef } from '../../data/items'
import { seriesMetadata } from '../../data/metadata'
import { type ReportNode, reportOf } from '../../data/report'
import { describeError } from '../describe'

function Node({ node }: { node: ReportNode }): ReactElement {
  return (
    <li>
      {node.name && <span className="report-name">{node.name}</span>}
      {node.value && <span className="report-value">{node.value}</span>}
      {node.children.length > 0 && <Nodes nodes={node.children} />}
    </li>
  )
}

function Nodes({ nodes }: { nodes: ReportNode[] }): ReactElement {
  return (
    <ul>
      {nodes.map((node, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the items of a stored report never move
        <Node key={index} node={node} />
      ))}
    </ul>
  )
}

/** The words of one structured report. */
export function Report({ frame }: { frame: FrameRef }): ReactElement | null {
  const { t } = useTranslation()
  const report = useQuery({
    queryKey: ['report', frame.sopUid],
    queryFn: async () => reportOf(await seriesMetadata(frame.studyUid, frame.seriesUid).need(frame.sopUid)),
    staleTime: Number.POSITIVE_INFINITY,
  })
  if (report.error) return <p role="alert">{describeError(report.error, t)}</p>
  if (report.isPending) return <p role="status">{t('documents.loading')}</p>
  if (!report.data) return null
  return (
    <article className="report" data-testid="report">
      <h3>{report.data.name}</h3>
      <Nodes nodes={report.data.children} />
    </article>
  )
}
