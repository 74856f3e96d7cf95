/** `; did you mean "x"?` for a key that was misspelt, or nothing where no known one shares half of its pairs of letters. */
export function didYouMean(key: string, known: readonly string[]): string {
  const [best] = known
    .map((name) => ({ name, likeness: likeness(pairsOf(key), pairsOf(name)) }))
    .sort((a, b) => b.likeness - a.likeness)
  return best === undefined || best.likeness < 0.5 ? '' : `; did you mean "${best.name}"?`
}

/** Sørensen–Dice: 0 to 1. */
function likeness(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = [...a].filter((pair) => b.has(pair)).length
  return (2 * both) / Math.max(a.size + b.size, 1)
}

function pairsOf(text: string): ReadonlySet<string> {
  const letters = text
    .slice(0, 64)
    .toLowerCase()
    .replaceAll(/[^a-z]/g, '')
  return new Set(Array.from(letters, (_, at) => letters.slice(at, at + 2)).filter((pair) => pair.length === 2))
}
