/** All probes, and how one is run. */
import type { Effort } from './cells.ts'
import { firstList } from './first-list.ts'
import { idle } from './idle.ts'
import { manyUpstreams } from './many-upstreams.ts'
import type { Finding, Probe } from './probe.ts'
import type { Subject } from './subjects.ts'

export const PROBES: readonly Probe[] = [idle, manyUpstreams, firstList]

/** The probes whose names contain one of the given words; without words all of them, or the light ones of a smoke run. */
export function selectProbes(words: readonly string[], quick: boolean): readonly Probe[] {
  if (words.length === 0) return PROBES.filter(({ heavy }) => !quick || !heavy)
  return PROBES.filter(({ name }) => words.some((word) => name.includes(word)))
}

/** Runs the probe for one subject; a failure stops nothing else. */
export async function runProbe(probe: Probe, subject: Subject, effort: Effort): Promise<Finding> {
  try {
    return { probe, subject: subject.name, rows: await probe.run(subject, effort) }
  } catch (error) {
    return { probe, subject: subject.name, rows: [], failure: (error as Error).message }
  }
}
