import assert from 'node:assert/strict'
import { AsyncLocalStorage, createHook } from 'node:async_hooks'

/** Something a piece of code has opened. */
export interface Opening {
  /** Node's own word for it: `Timeout`, `TCPSERVERWRAP`, `FSEVENTWRAP` … */
  readonly type: string
  /** File and line of who opened it, where known. */
  readonly where: string
}

/** Watches what a piece of code opens, at once or later on, whoever else is at work in the process. */
export interface Watch {
  /** Runs `work`: what it opens counts, and what is opened by what it began. */
  run<T>(work: () => T): T
  /** What was opened and must be closed by hand, and is not closed yet. */
  left(): readonly Opening[]
  /** What of it would keep the process from ending. */
  holding(): readonly Opening[]
  /** Every attempt to reach the network, or to be reached from it. */
  network(): readonly Opening[]
  /** Files watched, ports opened, programs and threads started. */
  standing(): readonly Opening[]
  stop(): void
}

const NETWORK: ReadonlySet<string> = new Set([
  'TCPCONNECTWRAP',
  'TCPSERVERWRAP',
  'PIPECONNECTWRAP',
  'PIPESERVERWRAP',
  'UDPWRAP',
  'GETADDRINFOREQWRAP',
  'GETNAMEINFOREQWRAP',
  'QUERYWRAP',
])
const STANDING: ReadonlySet<string> = new Set([
  'FSEVENTWRAP',
  'STATWATCHER',
  'TCPSERVERWRAP',
  'PIPESERVERWRAP',
  'UDPWRAP',
  'PROCESSWRAP',
  'SIGNALWRAP',
  'WORKER',
])
/** These may end by themselves or are kept for the next use: they count while they keep the process alive. */
const PASSING: ReadonlySet<string> = new Set(['TCPWRAP', 'PIPEWRAP', 'FILEHANDLE', 'DIRHANDLE', 'MESSAGEPORT'])
const TIMER = 'Timeout'

interface Found extends Opening {
  readonly resource: { hasRef?(): boolean; readonly _repeat?: number | null }
  closed: boolean
}

export function watchOpening(): Watch {
  const inside = new AsyncLocalStorage<true>()
  const found = new Map<number, Found>()
  const hook = createHook({
    init(id, type, _trigger, resource: Found['resource']) {
      const counts = NETWORK.has(type) || STANDING.has(type) || PASSING.has(type) || type === TIMER
      if (counts && inside.getStore()) found.set(id, { type, where: caller(), resource, closed: false })
    },
    destroy(id) {
      const one = found.get(id)
      if (one !== undefined) one.closed = true
    },
  }).enable()
  const those = (test: (one: Found) => boolean): readonly Opening[] =>
    [...found.values()].filter(test).map(({ type, where }) => ({ type, where }))
  const isHolding = ({ type, closed, resource }: Found): boolean =>
    !closed && (STANDING.has(type) || PASSING.has(type) || type === TIMER) && resource.hasRef?.() === true
  return {
    run: (work) => inside.run(true, work),
    left: () => those((one) => (!one.closed && (STANDING.has(one.type) || isInterval(one))) || isHolding(one)),
    holding: () => those(isHolding),
    network: () => those(({ type }) => NETWORK.has(type)),
    standing: () => those(({ type, closed }) => !closed && STANDING.has(type)),
    stop: () => void hook.disable(),
  }
}

/** Without a reference a timer that fires once ends by itself; one that repeats never does. */
function isInterval({ type, resource }: Found): boolean {
  return type === TIMER && typeof resource._repeat === 'number'
}

/** The first frame that is neither Node's nor this file's. */
function caller(): string {
  const frames = (new Error('where').stack ?? '').split('\n').slice(1)
  const own = frames.find((frame) => !/\(?node:|\bopened\.[jt]s\b/.test(frame))
  return own?.trim().replace(/^at /, '') ?? 'unknown'
}

/** Throws where there is any, with what was opened and where. */
export function checkNone(openings: readonly Opening[], rule: string): void {
  const lines = openings.map(({ type, where }) => `\n  ${type}, opened at ${where}`)
  assert.ok(lines.length === 0, rule + lines.join(''))
}
