import { readFile, stat } from 'node:fs/promises'
import { reasonOf } from '../../core/index.ts'
import { parseUsers, type Users } from './file.ts'

/** Largest file, in bytes. */
const LARGEST = 1024 * 1024

/** What a look at users.json has found. */
export type Reading =
  | { readonly kind: 'valid'; readonly text: string; readonly users: Users }
  /** It is there, but is no list of users. */
  | { readonly kind: 'invalid'; readonly text: string; readonly reason: string }
  /** It is not there, or cannot be read. */
  | { readonly kind: 'absent'; readonly missing: boolean; readonly reason: string }

/** Reads and checks a users.json. Never rejects; `label` as for `parseUsers`. */
export async function readUsersFile(file: string, label?: (key: string) => string): Promise<Reading> {
  try {
    return readingOf(file, await bytesOf(file), label)
  } catch (error) {
    const missing = (error as { code?: unknown }).code === 'ENOENT'
    const reason = missing ? `${file} is missing` : `${file} cannot be read: ${reasonOf(error)}`
    return { kind: 'absent', missing, reason }
  }
}

/** Checks what a users.json holds, or shall hold: at most 1 MiB of UTF-8. `undefined` is more than that. */
export function readingOf(
  file: string,
  bytes: Buffer | undefined,
  label?: (key: string) => string,
): Exclude<Reading, { kind: 'absent' }> {
  if (bytes === undefined || bytes.length > LARGEST) {
    const reason = `${file}: larger than 1 MiB`
    return { kind: 'invalid', text: reason, reason }
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { kind: 'invalid', text: bytes.toString('latin1'), reason: `${file}: not in UTF-8` }
  }
  try {
    return { kind: 'valid', text, users: parseUsers(file, text, label) }
  } catch (error) {
    return { kind: 'invalid', text, reason: reasonOf(error) }
  }
}

/** `undefined`: too large. Looks before it opens: a pipe would keep it waiting for ever. */
async function bytesOf(file: string): Promise<Buffer | undefined> {
  const found = await stat(file)
  if (!found.isFile()) throw new Error(found.isDirectory() ? 'it is a folder' : 'it is no ordinary file')
  return found.size > LARGEST ? undefined : readFile(file)
}
