/** Measurements beside the cells, each with a method and a table of its own: what a gateway costs that is only there. */
import type { Effort } from './cells.ts'
import type { Subject } from './subjects.ts'

/** One row of a probe's table, without the name of the subject. */
export interface Row {
  readonly what: string
  /** One for each column; numbers are written with three digits. */
  readonly values: readonly (string | number)[]
}

export interface Probe {
  readonly name: string
  /** Heading of its table. */
  readonly title: string
  /** Headings of the values. */
  readonly columns: readonly string[]
  /** Whether a smoke run leaves it out. */
  readonly heavy: boolean
  fits(subject: Subject): boolean
  /** Starts the subject, measures and ends it, also when it throws. */
  run(subject: Subject, effort: Effort): Promise<readonly Row[]>
}

/** What a probe found of one subject; `failure` says why there is nothing. */
export interface Finding {
  readonly probe: Probe
  readonly subject: string
  readonly rows: readonly Row[]
  readonly failure?: string
}
