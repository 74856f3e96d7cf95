import { parseTree, printParseErrorCode } from 'jsonc-parser'
import type { Node, ParseError } from 'jsonc-parser'

/** One property of an object in a JSON text. */
export interface Property {
  readonly key: string
  /** Where the property begins: its key. */
  readonly at: Node
  readonly value: Node
  /** The whole of it. */
  readonly whole: Node
}

/** The properties of an object in the order of the text, doubles included. */
export function propertiesOf(object: Node): readonly Property[] {
  return (object.children ?? []).flatMap((whole) => {
    const [at, value] = whole.children ?? []
    return at === undefined || value === undefined ? [] : [{ key: String(at.value), at, value, whole }]
  })
}

/** Parses strict JSON (no comments, no trailing commas). Calls `fault` with the offset, in characters, of the first mistake, and throws what it makes. */
export function jsonTree(text: string, fault: (offset: number, what: string) => Error): Node {
  const errors: ParseError[] = []
  let tree: Node | undefined
  try {
    tree = parseTree(text, errors, { disallowComments: true })
  } catch (error) {
    if (error instanceof RangeError) throw fault(0, 'too deeply nested')
    throw error
  }
  const [first] = errors
  if (text.trim() === '') throw fault(0, 'the file is empty; a list with nobody on it is {}')
  if (first !== undefined) throw fault(first.offset, `not valid JSON: ${sentence(printParseErrorCode(first.error))}`)
  if (tree === undefined) throw fault(0, 'not valid JSON')
  return tree
}

/** `CommaExpected` → `comma expected` */
function sentence(code: string): string {
  return code.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase()
}
