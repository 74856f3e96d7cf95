import type { UpstreamState, UpstreamStatus } from '../status.ts'
import { clean, columns, cut, pad, style } from './text.ts'

export interface TableOptions {
  /** Columns of the terminal: reasons are cut to them. */
  readonly width: number
  readonly colour: boolean
}

const HEAD = ['server', 'transport', 'state', 'tools', 'time'] as const

const COLOURS = {
  up: 'green',
  down: 'red',
  invalid: 'red',
  connecting: 'yellow',
  disabled: 'gray',
  idle: 'gray',
} as const satisfies Record<UpstreamState, string>

/** The table of upstreams: one line each under a heading, no line wider than `width`. */
export function tableOf(upstreams: readonly UpstreamStatus[], { width, colour }: TableOptions): readonly string[] {
  const rows = upstreams.map(cellsOf)
  const widths = HEAD.map((title, column) => Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(columns)))
  const line = (cells: readonly string[], paint: (cell: string, column: number) => string = (cell) => cell): string =>
    cells.map((cell, column) => paint(pad(cell, widths[column] ?? 0, column === 3), column)).join('  ')
  const lines = upstreams.map((upstream, index) => {
    const cells = rows[index] ?? []
    const left = width - columns(line(cells)) - 2
    const reason = upstream.reason === undefined || left < 4 ? '' : `  ${cut(clean(upstream.reason), left)}`
    const fits = columns(line(cells)) <= width
    if (!fits) return cut(line(cells), width)
    if (!colour) return `${line(cells)}${reason}`.trimEnd()
    const paint = (cell: string, column: number): string => (column === 2 ? style(COLOURS[upstream.state], cell) : cell)
    return `${line(cells, paint)}${style('gray', reason)}`
  })
  const head = cut(line(HEAD), width).trimEnd()
  return [colour ? style('bold', head) : head, ...lines]
}

/** One upstream as a line of its own, for a log. */
export function lineOf(upstream: UpstreamStatus): string {
  const [name, transport, state, tools, time] = cellsOf(upstream)
  const facts = upstream.state === 'up' ? ` (${tools} tools, ${time})` : ''
  const reason = upstream.reason === undefined ? '' : `: ${clean(upstream.reason)}`
  return `${name} [${transport}] ${state}${facts}${reason}`
}

function cellsOf({ name, transport, state, tools, took }: UpstreamStatus): readonly string[] {
  const time = took === undefined ? (state === 'connecting' ? '…' : '–') : `${(took / 1000).toFixed(1)} s`
  return [cut(clean(name), 40), clean(transport), state, state === 'up' ? String(tools) : '–', time]
}
