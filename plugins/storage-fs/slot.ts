/**
 * One key on disk, changed by any number of processes without a lock.
 *
 * Its folder holds `<id>.data`, the value, and the empty file `<id>.now`, which says that this value is the current
 * one. Ids are random and never used twice. Each change is one atomic step of the file system, which only one process can do:
 * - create: a folder with both files is renamed to the key's name, which fails when that name is a folder with content;
 * - replace: the new data is written beside the old, then `<old>.now` is renamed to `<new>.now`;
 * - remove: `<old>.now` is unlinked.
 * Whoever dies before that step has changed nothing, whoever dies after it has only left litter. Nobody waits for anybody.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeFolder, namesIn, syncFolder, unless, writeNew } from './disk.ts'

const DATA = '.data'
const NOW = '.now'
/** How often a value that is replaced while it is being read is read again. */
const READS = 1000

/** The current value. */
export interface Held {
  readonly id: string
  readonly text: string
  /** Data of earlier attempts to replace it: once this value is replaced, none of them can succeed. */
  readonly litter: readonly string[]
}

/** The value in `folder`; `undefined` when there is none. A value whose data is lost reads as an empty string. */
export async function read(folder: string): Promise<Held | undefined> {
  let lost: string | undefined
  for (let tried = 0; tried < READS; tried++) {
    const names = await namesIn(folder)
    if (!names) return undefined
    const id = current(names)
    if (id === undefined) {
      if (await clear(folder, names)) return undefined
      continue
    }
    const litter = names.filter((name) => name.endsWith(DATA) && name !== id + DATA)
    const text = await unless(['ENOENT'], readFile(join(folder, id + DATA), 'utf8'))
    if (text !== undefined) return { id, text, litter }
    // Data goes only after its `.now` went. Still there at the second look: somebody else removed the data.
    if (lost === id) return { id, text: '', litter }
    lost = id
  }
  throw new Error(`${folder} was replaced ${READS} times while it was read`)
}

/** Puts a value where there is none; resolves false when there is one by now. */
export async function create(folder: string, drafts: string, text: string): Promise<boolean> {
  const id = randomUUID()
  const draft = join(drafts, id)
  await makeFolder(draft)
  try {
    await writeNew(join(draft, id + DATA), text)
    await writeNew(join(draft, id + NOW), '')
    await syncFolder(draft)
    await makeFolder(dirname(folder))
    if (!(await moveInto(draft, folder))) return false
    await syncFolder(dirname(folder))
    return true
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** Puts a new value in place of `held`; resolves false when that is no longer the current one. */
export async function replace(folder: string, held: Held, text: string): Promise<boolean> {
  const id = randomUUID()
  const data = join(folder, id + DATA)
  let done = false
  try {
    // No folder: the key has been removed.
    if (
      (await unless(
        ['ENOENT'],
        writeNew(data, text).then(() => true),
      )) === undefined
    )
      return false
    done = await moveFile(join(folder, held.id + NOW), join(folder, id + NOW))
  } finally {
    if (!done) await discard(folder, [id + DATA])
  }
  if (!done) return false
  await syncFolder(folder)
  await discard(folder, [held.id + DATA, ...held.litter])
  return true
}

/** Removes `held`; resolves false when it is no longer the current value. */
export async function remove(folder: string, held: Held): Promise<boolean> {
  const done = await unless(
    ['ENOENT'],
    unlink(join(folder, held.id + NOW)).then(() => true),
  )
  if (!done) return false
  await syncFolder(folder)
  await discard(folder, [held.id + DATA, ...held.litter])
  await removeEmpty(folder)
  return true
}

function current(names: readonly string[]): string | undefined {
  return names.find((name) => name.endsWith(NOW))?.slice(0, -NOW.length)
}

/**
 * Clears a folder that holds no value: left by a crash, or being removed right now. What is in it can no longer become a value.
 * A folder may change while it is being listed: only the same names twice are believed. Resolves whether that was so.
 */
async function clear(folder: string, names: readonly string[]): Promise<boolean> {
  if (names.length > 0) {
    await sleep(2)
    const again = await namesIn(folder)
    if (again && [...again].sort().join() !== [...names].sort().join()) return false
  }
  // Reading must work on a disk that cannot be written.
  await discard(folder, names).then(
    () => removeEmpty(folder),
    () => {},
  )
  return true
}

async function discard(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await unless(['ENOENT', 'ENOTDIR'], unlink(join(folder, name)))
}

async function removeEmpty(folder: string): Promise<void> {
  await unless(['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'], rmdir(folder))
}

/** Windows cannot rename onto an empty folder, hence `removeEmpty`. */
async function moveInto(draft: string, folder: string): Promise<boolean> {
  await removeEmpty(folder)
  const taken = process.platform === 'win32' ? ['ENOTEMPTY', 'EEXIST', 'EPERM'] : ['ENOTEMPTY', 'EEXIST']
  return (
    (await unless(
      taken,
      rename(draft, folder).then(() => true),
    )) ?? false
  )
}

async function moveFile(from: string, to: string): Promise<boolean> {
  return (
    (await unless(
      ['ENOENT'],
      rename(from, to).then(() => true),
    )) ?? false
  )
}
