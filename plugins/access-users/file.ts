import { ProxyError } from '../../core/index.ts'
import { entryOf, SHAPE, type Fault, type UserEntry } from './entry.ts'
import { userKey } from './key.ts'
import { jsonTree, propertiesOf } from './tree.ts'

/** Who is listed, by `sub:…` or normalised e-mail address. */
export type Users = ReadonlyMap<string, UserEntry>

/**
 * Reads the text of a users.json. Throws `ERR_PROXY_CONFIG` with file and line for anything that is not exactly a list of users:
 * what was misspelt must not widen what somebody may do. `label`: how a key appears in that message.
 */
export function parseUsers(file: string, text: string, label: (key: string) => string = (key) => key): Users {
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length
  const invalid = (offset: number, what: string): ProxyError =>
    new ProxyError('ERR_PROXY_CONFIG', `${file}:${lineOf(offset)}${what}`)

  const tree = jsonTree(text, (offset, what) => invalid(offset, `: ${what}`))
  if (tree.type !== 'object') {
    throw invalid(tree.offset, `: expected an object with a user per key: { "you@example.com": ${SHAPE} }`)
  }
  const users = new Map<string, UserEntry>()
  const places = new Map<string, number>()
  for (const { key: written, at, value } of propertiesOf(tree)) {
    const fault: Fault = (node, what, key) =>
      invalid(node.offset, ` ${quoted(label(written))}${key === undefined ? '' : `.${plain(key)}`}: ${what}`)
    const key = userKey(written)
    if (key === undefined) throw fault(at, 'expected an e-mail address, or "sub:" and the identity provider\'s user id')
    const before = places.get(key)
    if (before !== undefined) throw fault(at, `the same user as in line ${lineOf(before)}; keep one of them`)
    places.set(key, at.offset)
    users.set(key, entryOf(value, fault))
  }
  return users
}

function plain(key: string): string {
  return /^\w{1,64}$/.test(key) ? key : quoted(key)
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 254 ? `${text.slice(0, 254)}…` : text)
}
