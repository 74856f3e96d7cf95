/** A piece of a template: text that stands for itself, or room for the value of an expression. */
type Piece = { readonly text: string } | { readonly least: 0 | 1; readonly oneSegment: boolean }

/**
 * Whether a URI may come from an RFC 6570 template. Every expression stands for some text: simple ones (`{id}`) for one
 * path segment, the others (`{+path}`, `{/path*}`, `{?q}` …) for anything. Enough to find the owner; the owner judges the rest.
 * No regular expression: templates are a server's words and URIs a client's, and together they could make one backtrack
 * for years. This takes a time proportional to both lengths.
 */
export function matchTemplate(template: string): (uri: string) => boolean {
  const pieces = template.split(/(\{[^{}]*\})/).map(pieceOf)
  return (uri) => {
    // Which positions of the URI the pieces so far can lead to.
    let reached = new Uint8Array(uri.length + 1)
    reached[0] = 1
    for (const piece of pieces)
      reached = 'text' in piece ? passText(reached, uri, piece.text) : pass(reached, uri, piece)
    return reached[uri.length] === 1
  }
}

function pieceOf(part: string): Piece {
  if (!part.startsWith('{') || !part.endsWith('}')) return { text: part }
  const inside = part.slice(1, -1)
  if (/^[+#./;?&]/.test(inside)) return { least: 0, oneSegment: false }
  return { least: inside.includes('*') || inside.includes(',') ? 0 : 1, oneSegment: true }
}

function passText(from: Uint8Array, uri: string, text: string): Uint8Array<ArrayBuffer> {
  const to = new Uint8Array(from.length)
  for (let at = from.indexOf(1); at >= 0; at = from.indexOf(1, at + 1)) {
    if (uri.startsWith(text, at)) to[at + text.length] = 1
  }
  return to
}

function pass(from: Uint8Array, uri: string, { least, oneSegment }: Exclude<Piece, { text: string }>) {
  const to = new Uint8Array(from.length)
  let within = false
  for (let at = from.indexOf(1); at >= 0 && at < from.length; at++) {
    within ||= from[at] === 1
    if (from[at] === 1 && least === 0) to[at] = 1
    if (!within || at === uri.length) continue
    if (oneSegment && '/?#'.includes(uri.charAt(at))) within = false
    else to[at + 1] = 1
  }
  return to
}
