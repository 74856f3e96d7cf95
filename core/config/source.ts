import { findNodeAtLocation } from 'jsonc-parser'
import type { Node } from 'jsonc-parser'
import { keysOf, lineOfKey } from './lines.ts'

export type Path = readonly (string | number)[]

/** A text that a configuration was read from; tells where in it a value stands. */
export interface Source {
  /** `undefined`: the configuration was handed over as a value. */
  readonly file: string | undefined
  /** Line of the key or value at `path`, counted from 1. */
  line(path: Path): number | undefined
}

/** A configuration that comes from no file. */
export const NOWHERE: Source = { file: undefined, line: () => undefined }

/** A TypeScript or JavaScript file; its lines are found as well as reading without a compiler allows. */
export function scriptSource(file: string, text: string): Source {
  const keys = keysOf(text)
  return { file, line: (path) => lineOfKey(keys, path) }
}

/** A JSON file with its syntax tree. */
export function jsonSource(file: string, text: string, tree: Node): Source {
  const lineAt = lineCounter(text)
  return {
    file,
    line(path) {
      for (let length = path.length; length > 0; length--) {
        const node = findNodeAtLocation(tree, path.slice(0, length))
        if (node === undefined) continue
        return lineAt(node.parent?.type === 'property' ? node.parent.offset : node.offset)
      }
      return undefined
    },
  }
}

/** Makes a function that gives the line of an offset, counted from 1, without reading the text again each time. */
export function lineCounter(text: string): (offset: number) => number {
  const starts = [0, ...Array.from(text.matchAll(/\n/g), (match) => match.index + 1)]
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

/** `file:line`, `file` or nothing. */
export function placeOf(source: Source, path: Path): string {
  if (source.file === undefined) return ''
  const line = source.line(path)
  return line === undefined ? source.file : `${source.file}:${line}`
}

/** `file:line mcpServers.time.args[0]: what`. */
export function complain(source: Source, path: Path, what: string): string {
  return say(placeOf(source, path), path, what)
}

/** `place path: what`, without the parts that are empty. */
export function say(place: string, path: Path, what: string): string {
  const where = [place, pathText(path)].filter((part) => part !== '').join(' ')
  return where === '' ? what : `${where}: ${what}`
}

/** `mcpServers["my server"].args[0]` */
export function pathText(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (!/^[\w$-]+$/.test(key)) text += `[${JSON.stringify(key)}]`
    else text += text === '' ? key : `.${key}`
  }
  return text
}
