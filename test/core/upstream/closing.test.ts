import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { ORIGIN, openKernel, type BareKernel } from '../../fixtures/core/kernel.ts'
import { serve, type Handler } from '../../fixtures/transport/http-server.ts'
import { keepSessions, type SessionKeeper, type Stage } from '../../fixtures/transport/session-keeper.ts'
import { JSON_HEADERS, messagesOf, node, openLegacy } from '../../harness.ts'

const toClose: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const thing of toClose.splice(0).toReversed()) await thing.close()
})

/** Bounds on hangs, in ms. */
const SOON = { timeout: 10_000, interval: 2 }
const URL = `${ORIGIN}/mcp`
const PLUGINS = ['transport-stdio', 'transport-streamable', 'storage-fs']

async function keep(otherwise?: (keeper: SessionKeeper) => Partial<Record<Stage, Handler>>) {
  const keeper = await keepSessions(serve, otherwise)
  toClose.push(keeper)
  return keeper
}

/** A started proxy of one server, `it`, which every session has for itself. */
async function open(entry: object): Promise<BareKernel> {
  const mcpServers = { it: { ...entry, isolate: 'session' } }
  const bare = await openKernel({ plugins: PLUGINS, mcpServers })
  toClose.push(bare)
  bare.kernel.start()
  return bare
}

const join = (bare: BareKernel) => openLegacy(URL, '2025-11-25', bare.fetch)
const leave = (bare: BareKernel, id: string) => bare.fetch(URL, { method: 'DELETE', headers: { 'mcp-session-id': id } })

/** Child processes of this one; only Linux tells. */
function children(): number {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').length - 1
}

/** A call of which nothing but the head has come: `arrive` sends the rest. Resolves with the error in its answer. */
function slowCall(bare: BareKernel, sessionId: string, name: string) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const headers = { ...JSON_HEADERS, 'mcp-session-id': sessionId }
  const init = { method: 'POST', headers, body: readable, duplex: 'half' as const }
  const error = bare.fetch(URL, init).then(async (answer) => (await messagesOf(answer)).at(-1).error.message)
  const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } })
  return { error, arrive: () => new Response(text).body?.pipeTo(writable) }
}

const moment = fc.integer({ min: 0, max: 120 })
/** When a client comes, and how much later it ends its session, where it does (ms). */
const visit = fc.record({ comes: moment, leaves: fc.option(moment, { nil: undefined }) })
const visits = fc.array(visit, { minLength: 1, maxLength: 6 })

describe('a proxy that closes', () => {
  test('at any moment leaves no session at a server that is slow to begin and to end them', async () => {
    const play = async (
      all: readonly { comes: number; leaves: number | undefined }[],
      slow: number,
      closes: number,
    ) => {
      const keeper = await keep(({ begin, end }) => ({
        initialize: (seen, response) => begin(seen, response, slow),
        DELETE: (seen, response) => void setTimeout(end, slow, seen, response),
      }))
      const bare = await open({ type: 'http', url: keeper.url })
      const visiting = all.map(async ({ comes, leaves }) => {
        await sleep(comes)
        const wire = await join(bare)
        const calling = wire.request('tools/call', { name: 'it_nothing', arguments: {} })
        if (leaves !== undefined) await sleep(leaves).then(() => leave(bare, wire.sessionId))
        await calling
      })
      await sleep(closes)
      // Whoever comes too late is turned away.
      await Promise.all([bare.kernel.close(), Promise.allSettled(visiting)])
      expect([...keeper.sessions]).toEqual([])
    }
    const slow = fc.integer({ min: 0, max: 300 })
    await fc.assert(fc.asyncProperty(visits, slow, moment, play), { numRuns: 12 })
  })

  test('begins no session for a call that arrives when it is closed', async () => {
    const keeper = await keep()
    const bare = await open({ type: 'http', url: keeper.url })
    await bare.kernel.ready
    const { sessionId } = await join(bare)
    const { error, arrive } = slowCall(bare, sessionId, 'it_nothing')
    await bare.kernel.close()
    await arrive()
    expect(await error).toContain('not served any more')
    expect([...keeper.sessions]).toEqual([])
  })

  test.runIf(process.platform === 'linux')(
    'starts no program for such a call (Linux: /proc counts the children)',
    async () => {
      const bare = await open(node('test/fixtures/actor-server.ts', 'legacy', 'stdio'))
      await bare.kernel.ready
      const { sessionId } = await join(bare)
      const { error, arrive } = slowCall(bare, sessionId, 'it_census')
      await bare.kernel.close()
      const before = children()
      await arrive()
      expect(await error).toContain('not served any more')
      expect(children()).toBe(before)
    },
  )
})

describe('a client that leaves while its instance is opening', () => {
  test('leaves no session at the server', async () => {
    let slow = 0
    const keeper = await keep(({ begin }) => ({ initialize: (seen, response) => begin(seen, response, slow) }))
    const bare = await open({ type: 'http', url: keeper.url })
    await bare.kernel.ready
    slow = 300
    const wire = await join(bare)
    const calling = wire.request('tools/call', { name: 'it_nothing', arguments: {} })
    // That of the first instance, and the client's.
    await expect.poll(() => keeper.sessions.size, SOON).toBe(2)
    await leave(bare, wire.sessionId)
    await calling
    await expect.poll(() => [...keeper.sessions], SOON).toEqual(['session-1'])
  })

  test.runIf(process.platform === 'linux')('leaves no program running (Linux: /proc counts the children)', async () => {
    const bare = await open(node('test/fixtures/actor-server.ts', 'legacy', 'stdio'))
    await bare.kernel.ready
    const before = children()
    const wire = await join(bare)
    const calling = wire.request('tools/call', { name: 'it_census', arguments: {} })
    await expect.poll(children, SOON).toBe(before + 1)
    await leave(bare, wire.sessionId)
    await calling
    await expect.poll(children, SOON).toBe(before)
  })
})
