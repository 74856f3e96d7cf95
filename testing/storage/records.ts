import assert from 'node:assert/strict'
import type { Check } from '../contract.ts'
import { keysOf, type Bench } from './bench.ts'

/** Pairs and oddities that drivers are known to merge, cut or mistake for their own. */
const ODD_KEYS = [
  'a:b',
  'a/b',
  'a\\b',
  'a:b:c',
  'a:b/c',
  'a?b',
  'a?c',
  'a',
  'a:',
  ':a',
  '',
  'A:b',
  'a:B',
  'a:../../b',
  'a:.',
  'a:%3a',
  'a:b$',
  'a:grüße 🐘',
  'a:\u0000',
  'a:\ud800',
  'a:\ud801',
  '__proto__',
  'constructor:prototype',
  'con:nul',
  `a:${'x'.repeat(5000)}`,
  `${'c'.repeat(5000)}:a`,
]

const VALUES = ['123', '', 'null', 'true', '{"a":1}', 123, 0, false, null, [], {}, [1, ['2']], { a: { b: null } }]

/** What is put comes back, under its own key and no other. */
export function records(check: Check<Bench>): void {
  check('gives back what was put, type included', async ({ store }) => {
    for (const [index, value] of VALUES.entries()) await store.put(`value:${index}`, value)
    for (const [index, value] of VALUES.entries()) assert.deepEqual(await store.get(`value:${index}`), value)
    await store.put('value:proto', JSON.parse('{"__proto__":{"x":1}}'))
    assert.equal(JSON.stringify(await store.get('value:proto')), '{"__proto__":{"x":1}}')
  })

  check('keeps odd keys apart, removes each alone', async ({ store }) => {
    for (const key of ODD_KEYS) await store.put(key, `value of ${key}`)
    for (const key of ODD_KEYS) assert.equal(await store.get(key), `value of ${key}`)
    for (const [index, key] of ODD_KEYS.entries()) {
      assert.equal(await store.take(key), `value of ${key}`)
      assert.equal(await store.get(key), undefined)
      for (const other of ODD_KEYS.slice(index + 1)) assert.equal(await store.get(other), `value of ${other}`)
    }
  })

  check('holds a value of a megabyte', async ({ store }) => {
    const value = 'ü'.repeat(500_000)
    await store.put('big:1', value)
    assert.ok((await store.get('big:1')) === value)
  })

  check('hands out copies', async ({ store }) => {
    await store.put('copy:1', { list: [1] })
    const first = await store.get<{ list: number[] }>('copy:1')
    first?.list.push(2)
    assert.deepEqual(await store.get('copy:1'), { list: [1] })
  })

  check('keeps namespaces apart', async ({ store, open }) => {
    const other = open({ namespace: '@scope/other' })
    await store.put('a:1', 'mine')
    assert.equal(await other.get('a:1'), undefined)
    await other.put('a:1', 'theirs')
    assert.equal(await store.get('a:1'), 'mine')
    assert.deepEqual(await keysOf(other, 'a'), ['a:1'])
    assert.equal(await other.take('a:1'), 'theirs')
    assert.equal(await store.get('a:1'), 'mine')
  })

  check('update creates, removes, and passes a throw on', async ({ store }) => {
    assert.equal(await store.update('made:1', () => 'new'), 'new')
    assert.equal(await store.update('made:1', () => undefined), undefined)
    assert.equal(await store.get('made:1'), undefined)
    assert.equal(await store.update('made:2', () => undefined), undefined)
    const boom = new Error('boom')
    const fail = (): never => {
      throw boom
    }
    await assert.rejects(store.update('made:3', fail), (error) => error === boom)
    assert.equal(await store.update('made:3', () => 'after'), 'after')
  })

  check('scan lists one collection with raw keys and survives records that vanish under it', async ({ store }) => {
    for (let id = 0; id < 10; id++) await store.put(`list:${id}/?`, id)
    await store.put('list2:1', 'other')
    await store.put('List:1', 'other')
    const seen: string[] = []
    for await (const [key, value] of store.scan<number>('list')) {
      assert.equal(key, `list:${value}/?`)
      seen.push(key)
      for (let id = 0; id < 10; id++) if (!seen.includes(`list:${id}/?`)) await store.take(`list:${id}/?`)
    }
    assert.equal(seen.length, 1)
    assert.deepEqual(await keysOf(store, 'nothing'), [])
  })
}
