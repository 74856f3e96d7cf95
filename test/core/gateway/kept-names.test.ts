import { expect, it, vi } from 'vitest'
import { keepNames } from '../../../core/gateway/kept-names.ts'
import { memoryStore } from '../../../core/store.ts'
import { captureLog } from '../../harness.ts'

const { logger } = captureLog()

it('names are the same in the next run, whoever comes first then', async () => {
  const store = memoryStore()
  const first = await keepNames(store, 64, logger)
  first.tools.assign('a', false, 'now')
  first.prompts.assign('a', false, '__proto__')
  await first.close()
  const second = await keepNames(store, 64, logger)
  expect(second.tools.assign('b', false, 'now')).toBe('b_now')
  expect(second.tools.assign('a', false, 'now')).toBe('now')
  expect(second.prompts.assign('b', false, '__proto__')).toBe('b___proto__')
  await second.close()
})

it('new names are written on their own after a moment', async () => {
  const store = memoryStore()
  const names = await keepNames(store, 64, logger)
  names.tools.assign('a', 'a', 'one')
  names.tools.assign('a', 'a', 'two')
  await vi.waitFor(async () =>
    expect(await store.get('names:tools')).toEqual({ a_one: ['a', 'one'], a_two: ['a', 'two'] }),
  )
  expect(await store.get('names:prompts')).toBeUndefined()
  await names.close()
})

it('what another process wrote first stays', async () => {
  const store = memoryStore()
  const [one, two] = [await keepNames(store, 64, logger), await keepNames(store, 64, logger)]
  one.tools.assign('a', false, 'now')
  two.tools.assign('b', false, 'now')
  two.tools.assign('b', false, 'later')
  await one.close()
  await two.close()
  expect(await store.get('names:tools')).toEqual({ now: ['a', 'now'], later: ['b', 'later'] })
})

it('a store that fails is warned about and stops nothing', async () => {
  const { logger, text } = captureLog()
  const store = memoryStore()
  const broken = { ...store, update: () => Promise.reject(new Error('disk full')) }
  const names = await keepNames(broken, 64, logger)
  expect(names.tools.assign('a', 'a', 'one')).toBe('a_one')
  await names.close()
  expect(text()).toContain('names of tools could not be kept: disk full')
})
