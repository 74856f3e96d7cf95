import type { RpcId } from './jsonrpc.ts'

const ID = String.raw`(-?\d+|"(?:[^"\\]|\\.)*")`
const VERSION = String.raw`(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?`

/** `{"jsonrpc":"2.0","id":7,"result":…`: the id stands before the result. */
const ID_FIRST = new RegExp(String.raw`^\s*\{\s*${VERSION}"id"\s*:\s*${ID}\s*,\s*${VERSION}"(?:result|error)"`)

/** `{"result":…` */
const RESULT_FIRST = new RegExp(String.raw`^\s*\{\s*${VERSION}"(?:result|error)"`)

/** `…,"id":7}`: after the result, as the last member of the outermost object. */
const ID_LAST = new RegExp(String.raw`,\s*"id"\s*:\s*${ID}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)

/**
 * The id of a response of which only both ends are known; `undefined` where they do not say. Only members of the
 * outermost object count: an `"id"` deep in a result must not end somebody else's request.
 */
export function responseId(head: string, tail: string): RpcId | undefined {
  const id = ID_FIRST.exec(head)?.[1] ?? (RESULT_FIRST.test(head) ? ID_LAST.exec(tail)?.[1] : undefined)
  if (id === undefined) return undefined
  return id.startsWith('"') ? unquote(id) : Number(id)
}

function unquote(text: string): string | undefined {
  try {
    return String(JSON.parse(text))
  } catch {
    return undefined
  }
}
