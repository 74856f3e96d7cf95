import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './harness.ts'

/** The threats that login has to withstand, by number; each is tested by name, or SECURITY.md says why it is not. */
const THREATS = Array.from({ length: 108 }, (_, index) => `T${String(index + 1).padStart(2, '0')}`)

/** Numbers at the beginning of a test's name: `test('T04 …')`, `test.each(…)('T18, T23 …')`, `describe('T61–T63 …')`. */
function numbersIn(source: string): string[] {
  const names = source.matchAll(/\(\s*['"`](T\d{2,3}(?:[^'"`\n]{0,3}T\d{2,3})*)\b/g)
  return Array.from(names, ([, found = '']) => expand(found)).flat()
}

/** `T61–T63` names three. */
function expand(text: string): string[] {
  const range = /^T(\d+)[–-]T(\d+)$/.exec(text)
  if (range === null) return text.match(/T\d{2,3}/g) ?? []
  const [first, last] = [Number(range[1]), Number(range[2])]
  return Array.from({ length: last - first + 1 }, (_, index) => `T${String(first + index).padStart(2, '0')}`)
}

function testFiles(): string[] {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  return files
    .filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
    .map((name) => join(ROOT, 'test', name))
}

test('every threat is tested by its number, or SECURITY.md says why not', () => {
  const tested = new Set(testFiles().flatMap((file) => numbersIn(readFileSync(file, 'utf8'))))
  const lines = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8').matchAll(/^- (T\d{2,3}): \S/gm)
  const reasoned = new Set(Array.from(lines, ([, number = '']) => number))
  const missing = THREATS.filter((number) => !tested.has(number) && !reasoned.has(number))
  const count = THREATS.filter((number) => tested.has(number)).length
  process.stdout.write(
    `threats: ${count} of ${THREATS.length} tested by number, ${reasoned.size} with a reason in SECURITY.md\n`,
  )
  expect(missing).toEqual([])
  expect([...reasoned].filter((number) => tested.has(number))).toEqual([])
})
