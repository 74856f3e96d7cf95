import type { Verdict } from './compare.ts'
import type { Section } from './expected.ts'
import type { Count } from './results.ts'

/** One run as it is reported. */
export interface Line {
  readonly section: Section | 'direct'
  readonly suite: string
  /** Absent where nothing is compared with. */
  readonly direct?: Count
  readonly through: Count
  readonly verdict: Verdict
  readonly seconds: number
}

const HEAD = ['cell', 'suite', 'direct', 'here', 'differences', 'expected', 'stale', 'time', 'verdict']

/** A table of all runs, and of what they are compared with: passed/failed/warnings of how many checks. */
export function table(lines: readonly Line[]): string {
  const rows = lines.map(({ section, suite, direct, through, verdict, seconds }) => [
    section,
    suite,
    direct === undefined ? '–' : counted(direct),
    counted(through),
    String(verdict.unexpected.length + verdict.expected.length),
    String(verdict.expected.length),
    String(verdict.stale.length),
    `${seconds.toFixed(1)} s`,
    passes(verdict) ? 'ok' : 'FAILED',
  ])
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [HEAD, widths.map((width) => '-'.repeat(width)), ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Everything that differs in one run, with the suite's words, or by the reason for which it may; and what is stale. */
export function details({ section, suite, verdict }: Line): string {
  const at = (scenario: string, check: string) => `${section} ${suite} ${scenario}: ${check}`
  const lines = [
    ...verdict.unexpected.map(
      ({ scenario, check, wanted, got, message }) =>
        `UNEXPECTED ${at(scenario, check)}: ${wanted} became ${got}${message && `\n    ${message}`}`,
    ),
    ...verdict.stale.map(
      ({ scenario, checks }) => `STALE ${at(scenario, checks.join(', '))}: does not differ any more`,
    ),
    ...[...new Set(verdict.expected.map(({ reason }) => reason))].map((reason) => {
      const found = verdict.expected.filter((one) => one.reason === reason)
      const ends = found.map(({ check, got }) => `${check} (${got})`).join(', ')
      return `expected ${at(found[0]?.scenario ?? '', ends)}\n    ${reason}`
    }),
  ]
  return lines.join('\n')
}

/** Whether nothing differs but what is expected to. */
export function passes({ unexpected, stale }: Verdict): boolean {
  return unexpected.length === 0 && stale.length === 0
}

function counted({ passed, failed, warnings, total }: Count): string {
  return `${passed}/${failed}/${warnings} of ${total}`
}
