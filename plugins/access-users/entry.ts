import type { Node } from 'jsonc-parser'
import { didYouMean } from '../../core/index.ts'
import { propertiesOf } from './tree.ts'

/** What users.json says of one user, defaults filled in. */
export interface UserEntry {
  readonly name?: string
  /** Default: none. */
  readonly roles: readonly string[]
  /** Globs over exposed names. Default: `["*"]`, everything; an empty list is nothing. */
  readonly allowedTools: readonly string[]
}

/** How an entry looks, for people who have to write one. */
export const SHAPE = '{ "roles": [], "allowed_tools": ["*"] }'

const KEYS = ['name', 'roles', 'allowed_tools'] as const
type Key = (typeof KEYS)[number]

/** Makes the error for what is wrong at a node; `key` is the one of the entry it is about. */
export type Fault = (node: Node, what: string, key?: string) => Error

/** Reads one entry. Throws what `fault` makes: an unknown key, one that is there twice, a value of another type. */
export function entryOf(node: Node, fault: Fault): UserEntry {
  if (node.type !== 'object') throw fault(node, `expected an object, such as ${SHAPE}`)
  const found = new Map<Key, Node>()
  for (const { key, at, value } of propertiesOf(node)) {
    if (!isKey(key)) throw fault(at, `unknown key${didYouMean(key, KEYS)}; there are ${KEYS.join(', ')}`, key)
    if (found.has(key)) throw fault(at, 'there twice; keep one of them', key)
    found.set(key, value)
  }
  const texts = (key: Key, absent: readonly string[]): readonly string[] => {
    const value = found.get(key)
    return value === undefined ? absent : textsOf(value, key, fault)
  }
  const name = found.get('name')
  return Object.freeze({
    ...(name !== undefined && { name: textOf(name, 'name', fault) }),
    roles: texts('roles', []),
    allowedTools: texts('allowed_tools', ['*']),
  })
}

function isKey(key: string): key is Key {
  return (KEYS as readonly string[]).includes(key)
}

function textsOf(node: Node, key: Key, fault: Fault): readonly string[] {
  if (node.type !== 'array') throw fault(node, `expected a list of strings, not ${kindOf(node)}`, key)
  return (node.children ?? []).map((item) => textOf(item, key, fault))
}

function textOf(node: Node, key: Key, fault: Fault): string {
  const value: unknown = node.value
  if (typeof value !== 'string') throw fault(node, `expected a string, not ${kindOf(node)}`, key)
  return value
}

function kindOf({ type }: Node): string {
  if (type === 'null') return 'null'
  return type === 'array' || type === 'object' ? `an ${type}` : `a ${type}`
}
