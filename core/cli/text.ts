import { styleText } from 'node:util'

/** Text in a colour, whatever the stream: who calls has looked whether colours are wanted. */
export function style(format: 'green' | 'red' | 'yellow' | 'gray' | 'bold', text: string): string {
  return text === '' ? '' : styleText(format, text, { validateStream: false })
}

/** Whether colours are wanted on `out`: on a terminal, unless NO_COLOR is set. */
export function isColourful(out: Pick<NodeJS.WriteStream, 'isTTY'>): boolean {
  return out.isTTY && !process.env.NO_COLOR
}

/** Reasons come from servers: nothing in them may move the cursor or break the line. */
export function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim()
}

/** Filled up with spaces to `width` columns. */
export function pad(cell: string, width: number, toTheRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - columns(cell)))
  return toTheRight ? space + cell : cell + space
}

/** Shortened to `width` columns, with an ellipsis. */
export function cut(text: string, width: number): string {
  if (columns(text) <= width) return text
  let kept = ''
  for (const character of text) {
    if (columns(kept) + columns(character) > width - 1) break
    kept += character
  }
  return `${kept}…`
}

/** Columns on a terminal; wide scripts are taken as two each, rather too many than too few, so that no line wraps. */
export function columns(text: string): number {
  let count = 0
  for (const character of text)
    count += (character.codePointAt(0) ?? 0) >= 0x1100 && character !== '…' && character !== '–' ? 2 : 1
  return count
}
