/** The value below which `share` percent of the values are; 0 without any. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  const index = Math.min(sorted.length - 1, Math.floor((sorted.length * share) / 100))
  return sorted[index] ?? 0
}

/** Milliseconds as people read them. */
export function msOf(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/** Bytes as people read them. */
export function bytesOf(bytes: number): string {
  const absolute = Math.abs(bytes)
  if (absolute < 10 * 1024) return `${Math.round(bytes)} B`
  return absolute < 10 * 1024 ** 2 ? `${(bytes / 1024).toFixed(0)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}

/** How much `ys` grow for each of `xs`, by least squares. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const middle = { x: mean(points.map(({ x }) => x)), y: mean(points.map(({ y }) => y)) }
  let above = 0
  let below = 0
  for (const { x, y } of points) {
    above += (x - middle.x) * (y - middle.y)
    below += (x - middle.x) ** 2
  }
  return below === 0 ? 0 : above / below
}
