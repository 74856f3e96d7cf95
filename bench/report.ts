/** Turns trials into the Markdown of `README.md`. */
import { cpus } from 'node:os'

import type { Effort, Wire } from './cells.ts'
import { median } from './measure.ts'
import type { Finding, Row } from './probe.ts'
import { SUBJECTS } from './subjects.ts'
import { noise, num, table } from './table.ts'
import type { Sample, Trial } from './trial.ts'

/** `[subject, reference, highest CPU ratio aimed at]`: which ratios are shown, per transport. */
const PAIRS: Readonly<Record<Wire, readonly (readonly [string, string, number?])[]>> = {
  stdio: [
    ['ours', 'mcp-proxy', 0.3],
    ['ours', 'mcp-proxy-lean'],
    ['ours', 'bridge'],
    ['ours', 'direct'],
    ['ours-built', 'mcp-proxy', 0.3],
    ['ours-auth', 'ours', 1.1],
    ['ours-auth-log', 'ours'],
    ['bridge', 'mcp-proxy'],
  ],
  http: [
    ['ours', 'reverse', 1.3],
    ['ours', 'direct'],
    ['ours-built', 'reverse', 1.3],
    ['ours-auth', 'ours', 1.1],
    ['ours-auth-log', 'ours'],
  ],
}

/** What must not make a call dearer: rows of the growth table, first cell = what the others are compared with. */
const GROWTH: readonly (readonly [string, readonly string[]])[] = [
  ['sessions 16 → 256', ['base', 'sessions-256']],
  ['tools 10 → 1,000 → 10,000', ['base', 'tools-1000', 'tools-10000']],
  ['upstreams 1 → 20', ['base', 'upstreams-20']],
]

function of(trial: Trial, pick: (sample: Sample) => number): number {
  return median(trial.samples.map(pick))
}

const cpuOf = (sample: Sample) => sample.cpu
const throughput = (sample: Sample) => sample.requests / sample.seconds

function figures(trials: readonly Trial[]): string {
  const rows = trials.map((trial) => {
    const name = [trial.cell.name, trial.subject]
    if (trial.failure !== undefined) return [...name, 'failed']
    const cpu = of(trial, cpuOf)
    return [
      ...name,
      num(of(trial, throughput)),
      num(of(trial, ({ p50 }) => p50)),
      num(of(trial, ({ p99 }) => p99)),
      cpu === 0 ? '–' : num(cpu),
      cpu === 0 ? '–' : noise(trial.samples.map(cpuOf)),
      num(of(trial, ({ upstreamCpu }) => upstreamCpu)),
      cpu === 0 ? '–' : num(of(trial, ({ rss }) => rss) / 1_048_576),
    ]
  })
  const head = ['cell', 'subject', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs/req', 'noise', 'upstream µs/req', 'RSS MiB']
  return table(head, rows)
}

/** The ratios of the same rounds, so that a slow minute of the machine counts for both. */
function paired(a: Trial, b: Trial, pick: (sample: Sample) => number): readonly number[] {
  return a.samples.flatMap((sample, n) => {
    const other = b.samples[n]
    return other === undefined ? [] : [pick(sample) / pick(other)]
  })
}

function ratioRow(a: Trial, b: Trial, aim: number | undefined): readonly string[] {
  const ratio = (pick: (sample: Sample) => number) => num(median(paired(a, b, pick)))
  const spent = paired(a, b, cpuOf)
  const cpu = median(spent)
  const met = aim === undefined ? '' : `${cpu <= aim ? 'met' : '**missed**'} (≤ ${aim.toFixed(2)})`
  return [
    a.cell.name,
    `${a.subject} ÷ ${b.subject}`,
    ratio(throughput),
    ratio(({ p50 }) => p50),
    ratio(({ p99 }) => p99),
    num(cpu),
    Number.isFinite(cpu) ? noise(spent) : '–',
    ratio(({ rss }) => rss),
    met,
  ]
}

const RATIO_HEAD = ['cell', 'ratio', 'req/s', 'p50', 'p99', 'CPU/req', 'noise', 'RSS', 'aim']

function ratios(trials: readonly Trial[]): readonly (readonly string[])[] {
  const good = trials.filter(({ samples, failure }) => failure === undefined && samples.length > 0)
  return good.flatMap((a) =>
    PAIRS[a.cell.wire].flatMap(([subject, reference, aim]) => {
      const b = good.find(({ cell, subject: name }) => cell.name === a.cell.name && name === reference)
      if (a.subject !== subject || b === undefined) return []
      return [ratioRow(a, b, a.cell.op === 'call' ? aim : undefined)]
    }),
  )
}

function growth(trials: readonly Trial[], wire: Wire): readonly (readonly string[])[] {
  const cpu = (subject: string, cell: string) => {
    const trial = trials.find((one) => one.subject === subject && one.cell.name === `${wire}/${cell}`)
    return trial === undefined || trial.samples.length === 0 ? undefined : of(trial, cpuOf)
  }
  return GROWTH.flatMap(([what, cells]) =>
    ['ours', 'mcp-proxy', 'bridge', 'reverse'].flatMap((subject) => {
      const values = cells.map((cell) => cpu(subject, cell))
      const first = values[0]
      if (first === undefined || values.includes(undefined)) return []
      const steps = values.map((value) => num((value ?? 0) / first)).join(' → ')
      return [[`${wire}: ${what}`, subject, values.map((value) => num(value ?? 0)).join(' → '), steps]]
    }),
  )
}

function conditions(effort: Effort): string {
  const model = cpus()[0]?.model ?? 'unknown CPU'
  const date = new Date().toISOString().slice(0, 10)
  const how = `${effort.rounds} round(s) of ${effort.measure / 1_000} s after ${effort.warmUp / 1_000} s of warm-up`
  const smoke = effort.warmUp < 1_000 ? ' · **smoke run: its numbers mean little**' : ''
  return `${date} · Node ${process.version} · ${cpus().length} × ${model} · ${process.platform} ${process.arch} · ${how}${smoke}`
}

/** One line for each subject that failed: where, who and why. */
export function failures(trials: readonly Trial[], findings: readonly Finding[]): readonly string[] {
  const line = (name: string, subject: string, failure: string | undefined) =>
    failure === undefined ? [] : [`${name}, ${subject}: ${failure}`]
  return [
    ...trials.flatMap(({ cell, subject, failure }) => line(cell.name, subject, failure)),
    ...findings.flatMap(({ probe, subject, failure }) => line(probe.name, subject, failure)),
  ]
}

/** Heading and table of each probe that found something. */
function probed(findings: readonly Finding[]): readonly string[] {
  const probes = [...new Set(findings.filter(({ rows }) => rows.length > 0).map(({ probe }) => probe))]
  return probes.flatMap((probe) => {
    const rows = findings.flatMap((finding) =>
      finding.probe === probe ? finding.rows.map((row) => cells(finding, row)) : [],
    )
    return [`### The whole gateway: ${probe.title}`, table(['what', 'subject', ...probe.columns], rows)]
  })
}

function cells({ subject }: Finding, { what, values }: Row): readonly string[] {
  return [what, subject, ...values.map((value) => (typeof value === 'number' ? num(value) : value))]
}

/** The report of a run: conditions, subjects, ratios, figures, growth and the probes. */
export function markdown(trials: readonly Trial[], findings: readonly Finding[], effort: Effort): string {
  const wires = (['stdio', 'http'] as const).filter((wire) => trials.some(({ cell }) => cell.wire === wire))
  const grown = wires.flatMap((wire) => growth(trials, wire))
  const legend = SUBJECTS.filter(({ name }) => [...trials, ...findings].some(({ subject }) => subject === name))
  const parts = [conditions(effort), legend.map(({ name, about }) => `- \`${name}\`: ${about}`).join('\n')]
  for (const wire of wires) {
    const own = trials.filter(({ cell }) => cell.wire === wire)
    const rows = ratios(own)
    if (rows.length > 0) parts.push(`### Upstream over ${wire}: ratios`, table(RATIO_HEAD, rows))
    parts.push(`### Upstream over ${wire}: figures`, figures(own))
  }
  if (grown.length > 0) {
    const head = ['what grows', 'subject', 'CPU µs/call', 'relative']
    parts.push('### Does a call cost more when there is more around it?', table(head, grown))
  }
  parts.push(...probed(findings))
  const lost = failures(trials, findings)
  if (lost.length > 0)
    parts.push('### Failed', lost.map((text) => `- ${text.replaceAll(/\s+/g, ' ').slice(0, 200)}`).join('\n'))
  return `${parts.join('\n\n')}\n`
}
