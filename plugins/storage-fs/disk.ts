import { mkdir, open, readdir, stat } from 'node:fs/promises'

/** Resolves `undefined` instead of rejecting with one of `codes` (`ENOENT` …). */
export async function unless<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return undefined
    throw error
  }
}

/** The names in a folder; `undefined` when it is not there. */
export async function namesIn(folder: string): Promise<string[] | undefined> {
  return unless(['ENOENT', 'ENOTDIR'], readdir(folder))
}

/** Makes a folder and those above it, for this user alone. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    // Alone first: of a disk that is read-only, Node's recursive one says that there is no such folder.
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EROFS') throw error
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
}

/** Whether there is a folder. */
export async function isThere(folder: string): Promise<boolean> {
  return (await unless(['ENOENT', 'ENOTDIR'], stat(folder))) !== undefined
}

/** Writes a new file, for this user alone, and waits until the disk has it. */
export async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Waits until the disk has a folder's names. One that has just been removed needs no waiting; Windows cannot do it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await unless(['ENOENT'], open(folder, 'r'))
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}
