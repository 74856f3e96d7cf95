/** One promise of the proxy, and what was measured of it. */
export interface Row {
  /** The promise. */
  readonly what: string
  /** How much was tried. */
  readonly amount: string
  /** `undefined`: it could not be tried on this machine. */
  readonly holds: boolean | undefined
  /** The numbers it was judged by. */
  readonly measured: string
}

/** The share of the full amounts: 1 by hand, 0.1 where nobody waits for it. */
export type Scale = number

/** What a scenario runs in. */
export interface Scene {
  /** Aborted when the scenario is over, its time is, or the whole run is ended. */
  readonly signal: AbortSignal
  /** Closes what was opened, in reverse order, once the scenario is over, however it ended. */
  defer(close: () => unknown): void
  /** Says on standard error what is going on. */
  say(what: string): void
}

/** A part of the soak: a module of this folder, or of `faults/`, exports one as `scenario`. */
export interface Scenario {
  readonly name: string
  /** How long it may take, in ms; then it has failed and everything of it is closed. */
  limit(scale: Scale): number
  /** Rejects where it could not be carried out, which is a failure too. */
  run(scale: Scale, scene: Scene): Promise<readonly Row[]>
}

/** A full amount at a scale: never none. */
export function amountOf(full: number, scale: Scale): number {
  return Math.max(1, Math.round(full * scale))
}
