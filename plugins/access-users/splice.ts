import type { Node } from 'jsonc-parser'
import type { JsonValue } from '../../core/index.ts'
import { jsonTree, propertiesOf, type Property } from './tree.ts'

/** A part of a JSON object that is to be set; `undefined` removes it. */
export interface Change {
  /** Keys from the top, as they are written in the text; all but the last are there. */
  readonly path: readonly [string] | readonly [string, string]
  readonly value: JsonValue | undefined
}

/** Changes one property of a valid JSON text and leaves every other character as it is; a new one is laid out like its neighbours. */
export function splice(text: string, { path, value }: Change): string {
  let object = jsonTree(text, (_, what) => new Error(what))
  for (const key of path.slice(0, -1)) object = find(object, key)?.value ?? object
  const key = path.at(-1) ?? ''
  const there = find(object, key)
  if (value === undefined) return there === undefined ? text : without(text, object, there)
  if (there !== undefined) return replace(text, there.value.offset, endOf(there.value), inline(value))
  return withProperty(text, object, `${JSON.stringify(key)}: ${inline(value)}`, path.length === 1)
}

function withProperty(text: string, object: Node, property: string, isTop: boolean): string {
  const last = propertiesOf(object).at(-1)
  if (last !== undefined)
    return replace(text, endOf(last.whole), endOf(last.whole), `,${gapBefore(text, last)}${property}`)
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const inside = isTop ? `${newline}  ${property}${newline}` : ` ${property} `
  return replace(text, object.offset + 1, endOf(object) - 1, inside)
}

/** With the comma that parts it from its neighbour: the next one takes its place, or the one before is the last. */
function without(text: string, object: Node, property: Property): string {
  const all = propertiesOf(object)
  const at = all.findIndex(({ whole }) => whole === property.whole)
  const [before, after] = [all[at - 1], all[at + 1]]
  if (after !== undefined) return replace(text, property.whole.offset, after.whole.offset, '')
  if (before !== undefined) return replace(text, endOf(before.whole), endOf(property.whole), '')
  return replace(text, object.offset + 1, endOf(object) - 1, '')
}

function find(object: Node, key: string): Property | undefined {
  return propertiesOf(object).find((property) => property.key === key)
}

/** The space between a property and what stands before it. */
function gapBefore(text: string, { whole }: Property): string {
  const before = text.slice(0, whole.offset)
  return before.slice(before.trimEnd().length) || ' '
}

function endOf({ offset, length }: Node): number {
  return offset + length
}

function replace(text: string, from: number, to: number, by: string): string {
  return text.slice(0, from) + by + text.slice(to)
}

/** JSON on one line, with spaces where people put them. */
function inline(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const parts = Object.entries(value).flatMap(([key, part]) =>
    part === undefined ? [] : [`${JSON.stringify(key)}: ${inline(part)}`],
  )
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}
