import type { Path } from './source.ts'

/** A property key in TypeScript or JavaScript. */
export interface Key {
  readonly name: string
  readonly line: number
  /** How many brackets are open around it. */
  readonly depth: number
}

/** Strings, templates, comments, words, and every other character that is no space. */
const TOKEN = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|(["'`])(?:\\[\s\S]|(?!\1)[^\\])*\1|[\w$]+|\S/g

/**
 * Line of the property at `path` in a script, counted from 1, or of the deepest part of it that is found.
 * Only keys and brackets are looked at: enough for the literals that configurations are made of.
 */
export function lineOfKey(keys: readonly Key[], path: Path): number | undefined {
  const names = path.filter((part) => typeof part === 'string')
  let deepest: Key | undefined
  let reached = 0
  for (const [index, key] of keys.entries()) {
    if (key.name !== names[0] || reached === names.length) continue
    const { last, count } = follow(keys, index, names)
    if (count > reached) {
      deepest = last
      reached = count
    }
  }
  if (reached === names.length) return deepest?.line
  // A server kept in a variable of its own: its key stands elsewhere, and is clear if it is the only one of its name.
  const alone = keys.filter((key) => key.name === names.at(-1))
  return alone.length === 1 ? alone[0]?.line : deepest?.line
}

/** How far `names` leads from the key at `start`, each name one bracket deeper than the one before. */
function follow(
  keys: readonly Key[],
  start: number,
  names: readonly string[],
): { last: Key | undefined; count: number } {
  let last = keys[start]
  let count = 1
  for (let index = start + 1; last !== undefined && index < keys.length && count < names.length; index++) {
    const key = keys[index]
    if (key === undefined || key.depth <= last.depth) break
    if (key.depth === last.depth + 1 && key.name === names[count]) {
      last = key
      count++
    }
  }
  return { last, count }
}

/** Every property key of a script, in order. */
export function keysOf(text: string): Key[] {
  const keys: Key[] = []
  let depth = 0
  let line = 1
  let end = 0
  let previous: { name: string; line: number } | undefined
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    line += newlines(text.slice(end, index))
    end = index
    if (token.startsWith('//') || token.startsWith('/*')) continue
    if (previous !== undefined && (token === ':' || token === ',' || token === '}')) keys.push({ ...previous, depth })
    if (/^[{[(]$/.test(token)) depth++
    else if (/^[}\])]$/.test(token)) depth--
    previous = nameOf(token, line)
  }
  return keys
}

function nameOf(token: string, line: number): { name: string; line: number } | undefined {
  if (/^[\w$]/.test(token)) return { name: token, line }
  if (/^["'`]/.test(token) && token.length > 1) return { name: token.slice(1, -1), line }
  return undefined
}

function newlines(text: string): number {
  return text.split('\n').length - 1
}
