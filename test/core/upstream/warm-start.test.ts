import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { UntypedConfig } from '../../../core/config/define.ts'
import { node, openLegacy, openProxy, servers, type LegacyWire, type TestProxy } from '../../harness.ts'

let folder: string
let dataDir: string
const opened: TestProxy[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-test-'))
  dataDir = join(folder, 'data')
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((proxy) => proxy.close()))
  await rm(folder, { recursive: true, force: true })
})

/** A proxy on the test's data folder, as one run after the other is. */
async function run(mcpServers: UntypedConfig['mcpServers'], settled = true): Promise<TestProxy> {
  const proxy = await openProxy(
    { dataDir, mcpServers: mcpServers as never, limits: { firstListWait: 1500 } },
    { settled },
  )
  opened.push(proxy)
  return proxy
}

async function end(proxy: TestProxy): Promise<void> {
  opened.splice(opened.indexOf(proxy), 1)
  await proxy.close()
}

/** A server that answers nothing before its file exists; `go()` makes it. */
function waiting(name = 'go') {
  const file = join(folder, name)
  const entry = { ...node('test/fixtures/e2e/mirror-server.ts', 'stdio'), env: { MIRROR_WAIT: file } }
  return { entry, go: () => writeFile(file, ''), stop: () => rm(file) }
}

const namesOf = async (wire: LegacyWire): Promise<string[]> =>
  (await wire.request('tools/list')).result.tools.map(({ name }: { name: string }) => name)
const callOf = (wire: LegacyWire, text: string) =>
  wire.request('tools/call', { name: 'slow_mirror', arguments: { result: { content: [{ type: 'text', text }] } } })
const statusOf = (proxy: TestProxy, server = 'slow') => proxy.kernel.upstreams.find(({ name }) => name === server)

describe('a restart on the same data folder', () => {
  it('answers tools/list before the servers are up, and calls wait for theirs', async () => {
    const { entry, go, stop } = waiting()
    await go()
    const first = await run({ slow: entry })
    const before = await namesOf(await openLegacy(first.url))
    expect(before).toContain('slow_mirror')
    await end(first)
    await stop()

    const second = await run({ slow: entry }, false)
    const wire = await openLegacy(second.url)
    expect(statusOf(second)).toMatchObject({ state: 'connecting', tools: before.length })
    expect(await namesOf(wire)).toEqual(before)
    expect((await fetch(`${second.origin}/readyz`)).status).toBe(503)
    let answered = false
    const answer = callOf(wire, 'at last').finally(() => (answered = true))
    expect(await namesOf(wire)).toEqual(before)
    expect(answered).toBe(false)
    expect(statusOf(second)?.state).toBe('connecting')
    await go()
    expect((await answer).result.content).toEqual([{ type: 'text', text: 'at last' }])
    await second.kernel.ready
    expect(statusOf(second)).toMatchObject({ state: 'up', tools: before.length })
    expect((await fetch(`${second.origin}/readyz`)).status).toBe(200)
  })

  it('of a server whose entry has changed is a cold start', async () => {
    const { entry, go } = waiting()
    await go()
    const first = await run({ slow: entry })
    expect(await namesOf(await openLegacy(first.url))).toContain('slow_mirror')
    await end(first)
    const second = await run({ slow: waiting('other').entry }, false)
    expect(statusOf(second)).toMatchObject({ state: 'connecting', tools: 0 })
    expect(await namesOf(await openLegacy(second.url))).toEqual([])
  })

  it('of a server that is gone keeps its tools, and says that it is down', async () => {
    const { entry, go, stop } = waiting()
    await go()
    const first = await run({ slow: entry })
    const before = await namesOf(await openLegacy(first.url))
    await end(first)
    await stop()
    const second = await run({ slow: { ...entry, connectTimeout: 400 } })
    expect(statusOf(second)).toMatchObject({ state: 'down', reason: 'no answer within 0.4 s of connecting' })
    const wire = await openLegacy(second.url)
    expect(await namesOf(wire)).toEqual(before)
    const failed = await callOf(wire, 'x')
    expect(failed.error.message).toMatch(/^server "slow" is down/)
  })
})

describe('a lazy server', () => {
  it('is started to be listed the first time; the second run starts it with the first call', async () => {
    const { entry, go, stop } = waiting()
    await go()
    const mcpServers = { slow: { ...entry, lazy: true } }
    const first = await run(mcpServers)
    const before = await namesOf(await openLegacy(first.url))
    expect(before).toContain('slow_mirror')
    expect(statusOf(first)?.state).toBe('up')
    await end(first)
    await stop()

    const second = await run(mcpServers)
    const wire = await openLegacy(second.url)
    expect(statusOf(second)).toMatchObject({ state: 'idle', tools: before.length })
    expect(await namesOf(wire)).toEqual(before)
    const answer = callOf(wire, 'awake')
    await go()
    expect((await answer).result.content).toEqual([{ type: 'text', text: 'awake' }])
    expect(statusOf(second)).toMatchObject({ state: 'up', tools: before.length })
  })

  it('that never answers keeps nobody from being ready', async () => {
    const proxy = await run({ slow: { ...servers.fault('silent'), lazy: true }, healthy: servers.fault('echo') })
    expect(statusOf(proxy, 'healthy')?.state).toBe('up')
    expect(statusOf(proxy)?.state).toBe('connecting')
    expect((await fetch(`${proxy.origin}/readyz`)).status).toBe(200)
    expect(await namesOf(await openLegacy(proxy.url))).toContain('healthy_echo')
  })

  it('stops when idle and starts again with the next call', async () => {
    const { entry, go } = waiting()
    await go()
    const proxy = await run({ slow: { ...entry, lazy: true, idleStop: 100 } })
    await vi.waitFor(() => expect(statusOf(proxy)?.state).toBe('idle'), 5000)
    const wire = await openLegacy(proxy.url)
    expect((await callOf(wire, 'one')).result.content[0].text).toBe('one')
    await vi.waitFor(() => expect(statusOf(proxy)?.state).toBe('idle'), 5000)
    expect((await callOf(wire, 'two')).result.content[0].text).toBe('two')
  })
})
