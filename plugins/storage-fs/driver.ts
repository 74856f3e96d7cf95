import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorageDriver } from '../../core/index.ts'
import { isThere, namesIn, unless } from './disk.ts'
import { DRAFTS, decode, folderOf, partOf, pathOf } from './path.ts'
import { create, read, remove, replace, type Held } from './slot.ts'

/** Age in milliseconds from which a draft belongs to a dead process; one that lives fails then, and harms nothing. */
const DRAFT_LIFE = 60 * 60 * 1000
/** How often an unconditional write tries again after another process was faster. */
const ATTEMPTS = 1000

/** A driver on files below `dir` (0600, folders 0700): `swap` holds across processes, and a crash at any step leaves the old or the new value. */
export function fsDriver(dir: string): StorageDriver {
  const drafts = join(dir, DRAFTS)
  let tidied: Promise<void> | undefined
  /** Whether the folder was there once. */
  let isKnown = false

  /** What is there; rejects where nothing is because the whole folder has gone: that is no reason to log anybody out. */
  async function look(key: string): Promise<Held | undefined> {
    const held = await read(pathOf(dir, key))
    if (held !== undefined) isKnown = true
    else if (await isThere(dir)) isKnown = true
    else if (isKnown) throw new Error(`${dir} is gone; put it back, or start the proxy again to begin anew`)
    return held
  }

  /** One attempt; false when another process was faster. */
  async function change(
    key: string,
    next: string | null,
    allows: (now: string | null) => boolean,
  ): Promise<boolean | 'refused'> {
    const folder = pathOf(dir, key)
    const held = await look(key)
    if (!allows(held?.text ?? null)) return 'refused'
    // What cannot be tidied away now stays until the next start: no reason to write nothing until then.
    if (next !== null) await (tidied ??= tidy(drafts).catch(() => {}))
    if (!held) {
      if (next !== null && !(await create(folder, drafts, next))) return false
      isKnown ||= next !== null
      return true
    }
    return next === null ? remove(folder, held) : replace(folder, held, next)
  }

  async function set(key: string, next: string | null): Promise<void> {
    for (let tried = 0; tried < ATTEMPTS; tried++) if (await change(key, next, () => true)) return
    throw new Error(`others changed it ${ATTEMPTS} times in a row`)
  }

  return {
    name: 'fs',
    options: { dir },
    hasItem: async (key) => (await look(key)) !== undefined,
    getItem: async (key) => (await look(key))?.text ?? null,
    setItem: (key, value) => set(key, value),
    removeItem: (key) => set(key, null),
    getKeys: (base) => keysBelow(folderOf(dir, base), base.split(':').filter(Boolean)),
    async clear(base) {
      for (const key of await keysBelow(folderOf(dir, base), base.split(':').filter(Boolean))) await set(key, null)
    },
    async swap(key, expected, next) {
      return (await change(key, next, (now) => now === expected)) === true
    },
  }
}

async function keysBelow(folder: string, parts: readonly string[]): Promise<string[]> {
  const keys: string[] = []
  const entries = await unless(['ENOENT', 'ENOTDIR'], readdir(folder, { withFileTypes: true }))
  for (const { name } of (entries ?? []).filter((entry) => entry.isDirectory())) {
    const last = partOf(name)
    const next = decode(name)
    if (last !== undefined) keys.push([...parts, last].join(':'))
    else if (next !== undefined) keys.push(...(await keysBelow(join(folder, name), [...parts, next])))
  }
  return keys
}

/** Removes what crashed processes left in the drafts folder. */
async function tidy(drafts: string): Promise<void> {
  for (const name of (await namesIn(drafts)) ?? []) {
    const path = join(drafts, name)
    const { mtimeMs = Number.POSITIVE_INFINITY } = (await unless(['ENOENT'], stat(path))) ?? {}
    if (Date.now() - mtimeMs > DRAFT_LIFE) await rm(path, { recursive: true, force: true })
  }
}
