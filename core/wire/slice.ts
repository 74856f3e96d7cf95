/**
 * Finds the text of `result` inside the text of a JSON-RPC response, so that a large result is relayed as it came
 * instead of being turned into JSON again.
 *
 * `text` must have passed `JSON.parse`: only then are brackets and quotes enough to tell where values end.
 * `undefined` where relaying the text could say something else than relaying the value: a member besides `jsonrpc`,
 * `id` and `result`, one of them twice, an escaped key – or a line break, which an event stream would take for its own.
 */
export function sliceResult(text: string): string | undefined {
  const seen = new Set<string>()
  let result: string | undefined
  let at = skipBlank(text, 0)
  if (text[at] !== '{') return undefined
  do {
    at = skipBlank(text, at + 1)
    const keyEnd = skipString(text, at)
    const key = text.slice(at + 1, keyEnd - 1)
    if (!MEMBERS.has(key) || seen.has(key)) return undefined
    seen.add(key)
    const start = skipBlank(text, skipBlank(text, keyEnd) + 1)
    const end = skipValue(text, start)
    if (key === 'result') result = text.slice(start, end)
    at = skipBlank(text, end)
  } while (text[at] === ',')
  return result === undefined || result.includes('\n') || result.includes('\r') ? undefined : result
}

const MEMBERS = new Set(['jsonrpc', 'id', 'result'])
const QUOTE = 0x22
const BACKSLASH = 0x5c

function skipBlank(text: string, at: number): number {
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++
  return at
}

/** From an opening quote to behind the closing one. */
function skipString(text: string, at: number): number {
  for (let end = at; ;) {
    end = text.indexOf('"', end + 1)
    if (end === -1) return text.length
    let escapes = end - 1
    while (text.charCodeAt(escapes) === BACKSLASH) escapes--
    if ((end - escapes) % 2 === 1) return end + 1
  }
}

function skipValue(text: string, at: number): number {
  const first = text[at]
  if (first === '"') return skipString(text, at)
  if (first !== '{' && first !== '[') {
    while (at < text.length && !',}]'.includes(text[at] ?? '') && text.charCodeAt(at) > 0x20) at++
    return at
  }
  for (let depth = 0; at < text.length;) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = skipString(text, at)
      continue
    }
    at++
    if (code === 0x7b || code === 0x5b) depth++
    else if (code === 0x7d || code === 0x5d) {
      if (--depth === 0) return at
    }
  }
  return at
}
