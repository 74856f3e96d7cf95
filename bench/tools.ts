/** The tools of the upstream server, by its own names. */

/** The tools that are called; each returns a text of a fixed length. */
export const TEXT_TOOLS = ['r100', 'r10k', 'r1m'] as const

/** Names of a catalogue of `count` tools. Those that are called come last, so that a look-up that walks the list shows. */
export function toolNames(count: number): readonly string[] {
  const fillers = Array.from({ length: count - TEXT_TOOLS.length }, (_, n) => `filler_${String(n).padStart(5, '0')}`)
  return [...fillers, ...TEXT_TOOLS]
}
