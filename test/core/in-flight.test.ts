import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { InFlight } from '../../core/in-flight.ts'

test('holds what is under way by its key', () => {
  const calls = new InFlight<string | number, { name: string }>()
  calls.set(1, { name: 'first' })
  calls.set('1', { name: 'second' })
  calls.set(1, { name: 'third' })
  expect([calls.size, calls.has(1), calls.get('1')?.name, calls.get(1)?.name]).toEqual([2, true, 'second', 'third'])
  calls.delete(1)
  calls.delete(1)
  expect([calls.size, calls.has(1), calls.get(1)]).toEqual([1, false, undefined])
})

test('may change while somebody goes through it', () => {
  const calls = new InFlight<number, { id: number }>()
  for (const id of [1, 2, 3]) calls.set(id, { id })
  const seen = calls.values().map(({ id }) => {
    calls.delete(2)
    calls.set(id + 10, { id: id + 10 })
    return id
  })
  expect(seen).toEqual([1, 2, 3])
  expect(calls.values().map(({ id }) => id)).toEqual([1, 3, 11, 12, 13])
})

test('keeps nothing that has left it from a minor collection, also once its own memory is old', () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (options?: { type: 'major' | 'minor' }) => void
  const calls = new InFlight<number, object>()
  let id = 0
  const pass = (): void => {
    for (let round = 0; round < 400; round++) {
      calls.set(++id, { list: Array.from({ length: 100 }, () => id) })
      if (id > 16) calls.delete(id - 16)
    }
  }
  pass()
  gc({ type: 'major' })
  gc({ type: 'major' })
  const before = process.memoryUsage().heapUsed
  for (let time = 0; time < 50; time++) {
    pass()
    gc({ type: 'minor' })
  }
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000)
})
