import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { pidSpace, pidsIssued, processTable } from '../processes.ts'

const identity = z.object({ pid: z.int().positive(), start: z.string() })

const recordSchema = z.object({
  /** The group's leader; its id is the group's id. */
  leader: identity,
  /** The process that spawned it. */
  owner: identity,
  boot: z.string(),
  namespace: z.string(),
  /** Process ids handed out since boot when this was written. */
  issued: z.int().optional(),
})

/** What is kept of a process group, and what tells it from a later one with the same id. */
export type GroupRecord = z.infer<typeof recordSchema>

/** A record where it lies. */
export interface KeptRecord {
  readonly path: string
  readonly record: GroupRecord
}

/** Writes the record of the group that `pid`, a child of this process, leads; returns its path. Throws what the disk says. */
export function writeRecord(dataDir: string, pid: number): string {
  const dir = groupsDir(dataDir)
  const path = join(dir, `${pid}-${randomBytes(4).toString('hex')}.json`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  // Renamed into place: a record is whole or absent, also for one who reads it at this moment.
  const draft = `${path}.tmp`
  try {
    writeFileSync(draft, JSON.stringify(describe(pid)), { mode: 0o600, flag: 'wx' })
    renameSync(draft, path)
  } catch (error) {
    // A full disk takes the name, but not what is in it.
    removeRecord(draft)
    throw error
  }
  return path
}

/** Every record that can be read. */
export function readRecords(dataDir: string): readonly KeptRecord[] {
  const dir = groupsDir(dataDir)
  return listFiles(dir).flatMap((name) => {
    if (!name.endsWith('.json')) return []
    const path = join(dir, name)
    try {
      return [{ path, record: recordSchema.parse(JSON.parse(readFileSync(path, 'utf8'))) }]
    } catch {
      return [] // removed in this moment, or of another version: nothing that could be acted upon
    }
  })
}

/** Removes a record. One that stays by mistake is found to be about nothing by the next one who reads it. */
export function removeRecord(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // the folder cannot be written, or is none
  }
}

/** When the process of that id started; empty where there is none. */
export function startOf(pid: number): string {
  return processTable.find(pid)?.start ?? ''
}

function describe(pid: number): GroupRecord {
  const issued = pidsIssued()
  return {
    leader: { pid, start: startOf(pid) },
    owner: { pid: process.pid, start: startOf(process.pid) },
    ...pidSpace(),
    ...(issued === undefined ? {} : { issued }),
  }
}

function groupsDir(dataDir: string): string {
  return join(dataDir, 'groups')
}

function listFiles(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
