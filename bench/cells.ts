/** What is measured: one base cell per transport, and cells that differ from it in one thing. */

export type Wire = 'stdio' | 'http'

/** One point of the measurement; every subject that fits it runs it in the same rounds. */
export interface Cell {
  readonly name: string
  /** How the subject reaches the upstream server. */
  readonly wire: Wire
  readonly op: 'call' | 'list'
  readonly sessions: number
  /** Length of the text a called tool returns, in bytes. */
  readonly size: number
  /** Tools in the catalogue of each upstream. */
  readonly tools: number
  readonly upstreams: number
  /** Whether the HTTP upstream answers calls as `text/event-stream` instead of JSON. */
  readonly sse: boolean
}

/** How long and how often a cell is measured; times in milliseconds. */
export interface Effort {
  readonly rounds: number
  readonly warmUp: number
  readonly measure: number
}

/** Requests in flight at once, however many sessions there are; every session takes its turn. */
export const IN_FLIGHT = 64

/** Text bytes one round may move: bounds what a proxy that remembers its answers has to hold. */
const BYTES_PER_ROUND = 200_000_000

const BASE = { op: 'call', sessions: 16, size: 100, tools: 10, upstreams: 1, sse: false } as const

function vary(wire: Wire): Cell[] {
  const cell = (name: string, change: Partial<Cell>): Cell => ({ ...BASE, ...change, wire, name: `${wire}/${name}` })
  const cells = [
    cell('base', {}),
    cell('sessions-1', { sessions: 1 }),
    cell('sessions-256', { sessions: 256 }),
    cell('10kB', { size: 10_000 }),
    cell('1MB', { size: 1_000_000 }),
    cell('tools-1000', { tools: 1_000 }),
    cell('tools-10000', { tools: 10_000 }),
    cell('upstreams-20', { upstreams: 20 }),
  ]
  if (wire === 'http') cells.push(cell('sse', { sse: true }))
  for (const tools of [10, 1_000, 10_000]) cells.push(cell(`list-${tools}`, { op: 'list', sessions: 1, tools }))
  return cells
}

export const CELLS: readonly Cell[] = [...vary('stdio'), ...vary('http')]

/** One upstream over stdio with everything at its base value. */
export const BASE_CELL: Cell = { ...BASE, wire: 'stdio', name: 'stdio/base' }

const QUICK = new Set(['stdio/base', 'stdio/1MB', 'stdio/list-1000', 'http/base', 'http/sse'])

/** The cells whose names contain one of the given words; without words all of them, or the few of a smoke run. */
export function selectCells(words: readonly string[], quick: boolean): readonly Cell[] {
  if (words.length === 0) return quick ? CELLS.filter((cell) => QUICK.has(cell.name)) : CELLS
  return CELLS.filter((cell) => words.some((word) => cell.name.includes(word)))
}

/** The tool that returns a text of the cell's size, as the upstream names it. */
export function toolOf(cell: Cell): string {
  return cell.size === 1_000_000 ? 'r1m' : cell.size === 10_000 ? 'r10k' : 'r100'
}

/** Most requests one round of this cell may send. */
export function callLimit(cell: Cell): number {
  const bytes = cell.op === 'list' ? cell.tools * cell.upstreams * 400 : cell.size
  return Math.min(200_000, Math.max(20, Math.floor(BYTES_PER_ROUND / bytes)))
}
