import { expect, test } from 'vitest'
import { createStore } from '../../../../core/store.ts'
import { memoryDriver } from '../../../../core/store/memory.ts'
import type { Store } from '../../../../core/storage.ts'
import { createDocuments, type Documents } from '../../../../plugins/auth-oauth/cimd/documents.ts'
import { createKnownClients, type Known } from '../../../../plugins/auth-oauth/cimd/known.ts'
import { createMemory } from '../../../../plugins/auth-oauth/memory.ts'
import type { FetchOptions } from '../../../../plugins/auth-oauth/cimd/fetch-document.ts'
import { createClients } from '../../../../plugins/auth-oauth/clients.ts'
import { createRedirectPolicy } from '../../../../plugins/auth-oauth/redirect-uri.ts'
import { captureLog } from '../../../harness.ts'
import { DAY, HOUR, LOCAL } from './support.ts'

const idOf = (index: number): string => `https://client.mcp-test.com/${index}`

/** A store whose reads are counted, in a time of our own. */
function countedStore() {
  let passed = 0
  let reads = 0
  const now = (): number => passed
  const driver = memoryDriver()
  const { getItem } = driver
  driver.getItem = (key, options) => (reads++, getItem(key, options))
  return {
    store: createStore(driver, { now }),
    now,
    pass: (ms: number) => void (passed += ms),
    reads: () => reads,
    records: () => driver.getKeys('', {}),
  }
}

function knownOf(index: number, now: number): Known {
  const client = { id: idOf(index), redirectUris: [LOCAL], authMethod: 'none', source: 'cimd', created: now } as const
  return { client, fetched: now, freshUntil: now + HOUR }
}

function documentsIn(store: Store, now: () => number, fetch: FetchOptions = {}): Documents {
  return createDocuments({
    store,
    policy: createRedirectPolicy([]),
    ownHost: 'mcp.example.com',
    fetch,
    signal: new AbortController().signal,
    logger: captureLog().logger,
    now,
  })
}

test('T91 10,000 URLs: the last 1,000 failures are remembered, and the rest is forgotten', async () => {
  const { store, now } = countedStore()
  let asked = 0
  const documents = documentsIn(store, now, { resolve: async () => (asked++, []) })
  for (let index = 0; index < 10_000; index++) await documents.find(idOf(index), 'authorization')
  expect(asked).toBe(10_000)
  for (let index = 9_000; index < 10_000; index++) await documents.find(idOf(index), 'authorization')
  expect(asked).toBe(10_000)
  await documents.find(idOf(8_999), 'authorization')
  expect(asked).toBe(10_001)
})

test('T91 10,000 documents: 1,000 in memory, the others in the store, until they are no longer fresh', async () => {
  const { store, now, pass, reads, records } = countedStore()
  const known = createKnownClients(store, now)
  for (let index = 0; index < 10_000; index++) await known.add(knownOf(index, now()))
  const before = reads()
  for (let index = 9_000; index < 10_000; index++) expect((await known.find(idOf(index)))?.client.id).toBe(idOf(index))
  expect(reads()).toBe(before)
  expect((await known.find(idOf(8_999)))?.client.id).toBe(idOf(8_999))
  expect(reads()).toBeGreaterThan(before)

  expect((await records()).length).toBe(10_000)
  pass(2 * HOUR)
  expect(await store.sweep()).toBe(10_000)
  expect((await records()).length).toBe(0)
})

test('T91 only a client that somebody logged in with is kept: 90 days after its last token', async () => {
  const { store, now, pass, records } = countedStore()
  const known = createKnownClients(store, now)
  await known.add(knownOf(1, now()))
  await known.add(knownOf(2, now()))
  await known.use(idOf(1))
  await known.use(idOf(3))
  pass(2 * HOUR)
  await store.sweep()
  const later = createKnownClients(store, now)
  expect((await later.find(idOf(1)))?.client.id).toBe(idOf(1))
  expect(await later.find(idOf(2))).toBeUndefined()
  expect(await later.find(idOf(3))).toBeUndefined()

  // What is read anew does not shorten that, and replaces what was there.
  pass(10 * DAY)
  await later.add({ ...knownOf(1, now()), fetched: now() })
  pass(2 * HOUR)
  await store.sweep()
  expect((await createKnownClients(store, now).find(idOf(1)))?.fetched).toBe(10 * DAY + 2 * HOUR)

  pass(70 * DAY)
  await createKnownClients(store, now).use(idOf(1))
  pass(89 * DAY)
  expect((await createKnownClients(store, now).find(idOf(1)))?.client.id).toBe(idOf(1))
  pass(DAY)
  expect(await createKnownClients(store, now).find(idOf(1))).toBeUndefined()
  await store.sweep()
  expect((await records()).length).toBe(0)
})

test('T91 a token keeps the client of a document: without one it is forgotten with the document', async () => {
  const { store, now, pass } = countedStore()
  const known = createKnownClients(store, now)
  await known.add(knownOf(1, now()))
  await known.add(knownOf(2, now()))
  const open = () => createClients({ store, fixed: [], documents: documentsIn(store, now), now })
  const client = await open().find(idOf(1))
  expect(client?.source).toBe('cimd')
  await open().touch(client!)
  pass(30 * DAY)
  await store.sweep()
  expect((await open().find(idOf(1)))?.id).toBe(idOf(1))
  expect(await open().find(idOf(2))).toBeUndefined()
})

test('T91 a token more does not write more than once a day', async () => {
  const { store, now, pass } = countedStore()
  const known = createKnownClients(store, now)
  await known.add(knownOf(1, now()))
  let writes = 0
  const { update } = store
  store.update = (key, change, options) => (writes++, update(key, change, options))
  for (let count = 0; count < 100; count++) await known.use(idOf(1))
  expect(writes).toBe(1)
  pass(DAY)
  await known.use(idOf(1))
  expect(writes).toBe(2)
})

test('T91 a memory of a bounded size forgets what was set longest ago', () => {
  const memory = createMemory<number>(3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) memory.set(key, 1)
  expect(['a', 'b', 'c', 'd'].map((key) => memory.has(key))).toEqual([true, false, true, true])
  memory.delete('a')
  expect(memory.get('a')).toBeUndefined()
})
