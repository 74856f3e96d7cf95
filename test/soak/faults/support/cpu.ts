import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Ms of one tick of the kernel's accounts. */
const TICK = 10

/** The share of one core that a process takes during the next `ms`; NaN: it has ended. */
export async function cpuDuring(pid: number, ms: number): Promise<number> {
  const [began, before] = [performance.now(), cpuMs(pid)]
  await sleep(ms)
  return (cpuMs(pid) - before) / (performance.now() - began)
}

/** Processor time so far, in ms. */
function cpuMs(pid: number): number {
  try {
    // What follows the name, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * TICK
  } catch {
    return NaN
  }
}
