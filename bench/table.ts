/** Markdown tables and the numbers in them. */
import { spread } from './measure.ts'

/** Aligned as the formatter would; the first two columns are words. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, n) => Math.max(3, ...all.map((row) => row[n]?.length ?? 0)))
  const cell = (text: string, n: number) => (n < 2 ? text.padEnd(widths[n] ?? 0) : text.padStart(widths[n] ?? 0))
  const line = (row: readonly string[]) => `| ${head.map((_, n) => cell(row[n] ?? '', n)).join(' | ')} |`
  const rule = widths.map((width, n) => (n < 2 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** Three significant digits, thousands apart. */
export function num(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value >= 100 || value <= -100) return Math.round(value).toLocaleString('en-US')
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** How far the rounds lie apart; one round says nothing about it. */
export function noise(values: readonly number[]): string {
  return values.length < 2 ? '–' : `${Math.round(spread(values) * 100)} %`
}
