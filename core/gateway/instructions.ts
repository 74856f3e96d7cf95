import type { Source } from './source.ts'

/** Characters that the instructions of all servers together may have: a model reads them before anything else. */
const MOST = 16_000

/** What servers tell models about themselves, each under its name; `undefined` when none does. */
export function mergeInstructions(sources: readonly Source[]): string | undefined {
  const parts = sources.flatMap(({ name, instructions }) => {
    const text = instructions?.trim()
    return text ? [{ heading: `## ${name}\n\n`, text }] : []
  })
  if (parts.length === 0) return undefined
  const fixed = parts.reduce((sum, { heading }) => sum + heading.length + SEPARATOR.length, 0)
  const share = fairShare(
    parts.map(({ text }) => text.length),
    MOST - fixed,
  )
  return parts.map(({ heading, text }) => heading + cut(text, share)).join(SEPARATOR)
}

const SEPARATOR = '\n\n'

/** The longest that each may be, so that all fit: who is short takes nothing from the others, who is long nothing more. */
function fairShare(lengths: readonly number[], room: number): number {
  let left = Math.max(room, 0)
  const sorted = [...lengths].sort((a, b) => a - b)
  for (const [index, length] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - index))
    if (length > share) return share
    left -= length
  }
  return Number.POSITIVE_INFINITY
}

/** Never in the middle of a character. */
function cut(text: string, share: number): string {
  if (text.length <= share) return text
  return `${text.slice(0, Math.max(share - 1, 0)).replace(/[\uD800-\uDBFF]$/, '')}…`
}
