import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isProxyError, ProxyError, reasonOf } from '../../core/index.ts'
import { normaliseEmail } from './email.ts'
import type { UserEntry } from './entry.ts'
import type { Users } from './file.ts'
import { userKey } from './key.ts'
import { withLock } from './lock.ts'
import { readingOf, readUsersFile, type Reading } from './read.ts'
import { replaceFile, targetOf } from './replace.ts'
import { splice } from './splice.ts'
import { jsonTree, propertiesOf } from './tree.ts'

/** What is to be written of a user; what is absent stays as it is. */
export type UserFields = { readonly [K in keyof UserEntry]?: UserEntry[K] | undefined }

/** How often an edit is begun anew because somebody else was faster. */
const ATTEMPTS = 10

/** Everybody in users.json, by normalised e-mail address (or `sub:…`); nobody when it is missing. Rejects with `ERR_PROXY_CONFIG` where it is no list of users. */
export async function readUsers(file: string): Promise<ReadonlyMap<string, UserEntry>> {
  return (await contentOf(file)).users
}

/**
 * Lists a user, or changes the given fields of one who is listed; file and folder are made where missing. Safe against other
 * processes that do the same. Rejects with `ERR_PROXY_CONFIG`: no e-mail address, a file that is not valid or cannot be written.
 */
export async function addUser(file: string, email: string, fields: UserFields = {}): Promise<'added' | 'updated'> {
  const key = keyOf(email)
  let outcome: 'added' | 'updated' = 'added'
  await edit(file, (text, users) => {
    outcome = users.has(key) ? 'updated' : 'added'
    return users.has(key) ? updated(text, key, fields) : added(text, key, fields)
  })
  return outcome
}

/** Takes a user off the list; resolves whether they were on it. Safe and rejecting like `addUser`. */
export async function removeUser(file: string, email: string): Promise<boolean> {
  const key = keyOf(email)
  if (!(await readUsers(file)).has(key)) return false
  let wasListed = false
  await edit(file, (text, users) => {
    wasListed = users.has(key)
    return wasListed ? splice(text, { path: [writtenKey(text, key)], value: undefined }) : text
  })
  return wasListed
}

function keyOf(email: string): string {
  const key = normaliseEmail(email)
  if (key === undefined) throw new ProxyError('ERR_PROXY_CONFIG', `${JSON.stringify(email)} is no e-mail address`)
  return key
}

function added(text: string, key: string, { name, roles = [], allowedTools = ['*'] }: UserFields): string {
  return splice(text, {
    path: [key],
    value: { ...(name !== undefined && { name }), roles, allowed_tools: allowedTools },
  })
}

function updated(text: string, key: string, { name, roles, allowedTools }: UserFields): string {
  const fields = { name, roles, allowed_tools: allowedTools }
  return Object.entries(fields).reduce(
    (text, [field, value]) =>
      value === undefined ? text : splice(text, { path: [writtenKey(text, key), field], value }),
    text,
  )
}

/** A user's key as it stands in the file. */
function writtenKey(text: string, key: string): string {
  const properties = propertiesOf(jsonTree(text, (_, what) => new Error(what)))
  return properties.find((property) => userKey(property.key) === key)?.key ?? key
}

async function edit(file: string, change: (text: string, users: Users) => string): Promise<void> {
  try {
    const target = await targetOf(file)
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    for (let tried = 0; tried < ATTEMPTS; tried++) {
      const isDone = await withLock(`${target}.lock`, async (isHeld) => {
        const { text, users } = await contentOf(target)
        const next = change(text, users)
        if (next === text) return true
        valid(readingOf(target, Buffer.from(next)))
        // An editor takes no lock: what it has saved meanwhile is not overwritten.
        return replaceFile(target, next, async () => (await isHeld()) && (await contentOf(target)).text === text)
      })
      if (isDone) return
    }
    throw new Error(`others were faster ${ATTEMPTS} times in a row`)
  } catch (error) {
    if (isProxyError(error)) throw error
    const { code } = error as { readonly code?: unknown }
    const hint = code === 'EBUSY' || code === 'EXDEV' ? '; if it is mounted by itself, mount its folder instead' : ''
    throw new ProxyError('ERR_PROXY_CONFIG', `${file} cannot be changed: ${reasonOf(error)}${hint}`, { cause: error })
  }
}

async function contentOf(file: string): Promise<{ readonly text: string; readonly users: Users }> {
  const reading = await readUsersFile(file)
  return reading.kind === 'absent' && reading.missing ? { text: '{}\n', users: new Map() } : valid(reading)
}

function valid(reading: Reading): Reading & { kind: 'valid' } {
  if (reading.kind === 'valid') return reading
  throw new ProxyError('ERR_PROXY_CONFIG', reading.reason)
}
