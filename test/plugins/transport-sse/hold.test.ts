import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHold } from '../../../plugins/transport-sse/hold.ts'

test('gives back what was added, once', () => {
  const parts = fc.array(
    fc.oneof(
      fc.uint8Array(),
      fc.nat(100_000).map((length) => new Uint8Array(length).fill(7)),
    ),
  )
  fc.assert(
    fc.property(parts, parts, (...rounds) => {
      const hold = createHold()
      for (const round of rounds) {
        for (const part of round) hold.add(Buffer.from(part))
        const whole = Buffer.concat(round)
        expect(hold.bytes()).toBe(whole.length)
        expect(hold.take().equals(whole)).toBe(true)
        expect([hold.bytes(), hold.room()]).toEqual([0, 0])
      }
    }),
    { numRuns: 50 },
  )
})

test.each([
  ['byte by byte', () => [1]],
  ['in small pieces of large reads', () => [1000]],
  ['in large pieces of large reads', () => [20_000]],
  ['in all sizes by turns', () => [1, 20_000, 65_536, 3, 40_000]],
])('takes at most about twice the memory, however it comes: %s', (_how, sizesOf) => {
  const hold = createHold()
  const sizes = sizesOf()
  let bytes = 0
  for (let turn = 0; turn < 20_000 && bytes < 5_000_000; turn++) {
    for (const size of sizes) {
      // As a part of what was read together.
      hold.add(Buffer.from(new ArrayBuffer(65_536)).subarray(0, size))
      bytes += size
    }
    expect(hold.room()).toBeLessThanOrEqual(2.1 * bytes + 65_536)
  }
  expect(hold.take().length).toBe(bytes)
})
