import { randomUUID } from 'node:crypto'
import { open, readlink, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { unless } from './unless.ts'

/** How many links are followed to a file that is not there yet. */
const LINKS = 16

/** The file that a path leads to, links followed, also where that file is not there yet. */
export async function targetOf(path: string): Promise<string> {
  let target = path
  for (let followed = 0; followed < LINKS; followed++) {
    const real = await unless(['ENOENT'], realpath(target))
    if (real !== undefined) return real
    const link = await unless(['ENOENT', 'EINVAL'], readlink(target))
    if (link === undefined) return target
    target = resolve(dirname(target), link)
  }
  throw new Error(`${path}: too many links`)
}

/**
 * Replaces a file's text in one step, unless `isCurrent` says no right before: resolves whether it was replaced. Mode and owner
 * stay; a new file is for this user alone (0600).
 */
export async function replaceFile(path: string, text: string, isCurrent: () => Promise<boolean>): Promise<boolean> {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`)
  try {
    await write(draft, text, await unless(['ENOENT'], stat(path)))
    if (!(await isCurrent())) return false
    await rename(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(dirname(path))
  return true
}

async function write(
  draft: string,
  text: string,
  before: { readonly mode: number; readonly uid: number; readonly gid: number } | undefined,
): Promise<void> {
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    if (before !== undefined) {
      // Only root may give files away; for anybody else it is their own from now on.
      await unless(['EPERM'], file.chown(before.uid, before.gid))
      await file.chmod(before.mode & 0o777)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Waits until the disk has a folder's names. Windows cannot do it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
