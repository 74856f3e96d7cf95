import type { Row } from './scenario.ts'

const HEAD = ['what', 'amount', 'result', 'measured'] as const

/** The rows as a Markdown table, aligned. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ what, amount, holds, measured }) =>
    [what, amount, holds === undefined ? 'NOT RUN' : holds ? 'holds' : 'BROKEN', measured].map((text) =>
      text.replaceAll('|', '/').replaceAll('\n', ' '),
    ),
  )
  const widths = HEAD.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')
}
