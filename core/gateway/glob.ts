/** Whether a whole name matches any of the globs; `*` stands for any run of characters, everything else for itself. */
export type NameMatcher = (name: string) => boolean

/** Compiles globs once. */
export function matchNames(globs: readonly string[]): NameMatcher {
  if (globs.includes('*')) return () => true
  const exact = new Set(globs.filter((glob) => !glob.includes('*')))
  const patterns = globs.filter((glob) => glob.includes('*')).map(matchGlob)
  return (name) => exact.has(name) || patterns.some((matches) => matches(name))
}

/** The first place of every part is as good as any later one. No regular expression: names come from clients, and could make one backtrack for ever. */
function matchGlob(glob: string): NameMatcher {
  const parts = glob.split('*')
  const [first, last] = [parts.shift() ?? '', parts.pop() ?? '']
  return (name) => {
    const end = name.length - last.length
    if (end < first.length || !name.startsWith(first) || !name.endsWith(last)) return false
    let at = first.length
    for (const part of parts) {
      const found = name.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return at <= end
  }
}
