import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { processTable } from '../../../core/processes.ts'

/** The variable that tells which server of the configuration a process is. */
export const NAME_VARIABLE = 'SOAK_SERVER'

/** Whether a process is there and runs. */
export function lives(pid: number): boolean {
  return processTable.find(pid)?.zombie === false
}

/** The children of a process. */
export function childrenOf(pid: number): readonly number[] {
  return numbersIn(readText(`/proc/${pid}/task/${pid}/children`))
}

/** Resident memory in bytes; 0: it is gone. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/** Ms that the main thread of a process was ready to run while the machine did other things; 0: it is gone, or nobody counts. */
export function waitedForCpu(pid: number): number {
  return Number(readText(`/proc/${pid}/task/${pid}/schedstat`).split(' ')[1] ?? 0) / 1e6
}

/** The leaders of the process groups that a proxy has on record. */
export function recordedLeaders(dataDir: string): readonly number[] {
  const folder = join(dataDir, 'groups')
  let files: string[]
  try {
    files = readdirSync(folder)
  } catch {
    return []
  }
  return files.filter((file) => file.endsWith('.json')).map((file) => Number.parseInt(file, 10))
}

/** The leaders that run, by the server each of them is. */
export function leadersByServer(dataDir: string): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>()
  for (const pid of recordedLeaders(dataDir)) {
    const name = serverOf(pid)
    if (name !== undefined && lives(pid)) found.set(name, [...(found.get(name) ?? []), pid])
  }
  return found
}

/** Kills a group at once; false: it was gone. */
export function killGroup(leader: number): boolean {
  try {
    return process.kill(-leader, 'SIGKILL')
  } catch {
    return false
  }
}

function serverOf(pid: number): string | undefined {
  const variables = readText(`/proc/${pid}/environ`).split('\0')
  return variables.find((text) => text.startsWith(`${NAME_VARIABLE}=`))?.slice(NAME_VARIABLE.length + 1)
}

function numbersIn(text: string): readonly number[] {
  return text.split(/\s+/).flatMap((word) => (/^\d+$/.test(word) ? [Number(word)] : []))
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended
  }
}
