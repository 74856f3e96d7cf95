import memory from 'unstorage/drivers/memory'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ServerConfig } from '../../../core/config/resolved.ts'
import { EMPTY_LISTS } from '../../../core/gateway/source.ts'
import type { Store } from '../../../core/storage.ts'
import { createStore } from '../../../core/store.ts'
import { createKeptLists, type Known } from '../../../core/upstream/kept-lists.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const { logger, lines } = memoryLogger()
const openStore = () => createStore(memory(), { namespace: 'core', logger })

function server(entry: object = { command: 'x' }, { name = 'x', protocol = 'auto' } = {}): ServerConfig {
  return { name, entry, settings: { protocol } } as unknown as ServerConfig
}

function known(tool: string, more: Partial<Known> = {}): Known {
  return { lists: { ...EMPTY_LISTS, tools: [{ name: tool }] }, split: false, ...more }
}

/** Writes as one run does, which then ends. */
async function keep(store: Store, config: ServerConfig, what: Known): Promise<void> {
  const kept = createKeptLists(store, config, logger)
  kept.write(what)
  await kept.close()
}

const read = (store: Store, config: ServerConfig) => createKeptLists(store, config, logger).read()

describe('kept lists', () => {
  it('are what the last run knew of the server', async () => {
    const store = openStore()
    expect(await read(store, server())).toBeUndefined()
    await keep(store, server(), known('a', { instructions: 'be kind', split: true }))
    expect(await read(store, server())).toMatchObject(known('a', { instructions: 'be kind', split: true }))
  })

  it('belong to one server', async () => {
    const store = openStore()
    await keep(store, server(), known('a'))
    expect(await read(store, server(undefined, { name: 'y' }))).toBeUndefined()
  })

  it.each([
    ['another program', server({ command: 'y' })],
    ['another environment', server({ command: 'x', env: { MODE: 'all' } })],
    ['another revision', server({ command: 'x' }, { protocol: 'legacy' })],
  ])('are of no use to %s', async (_, changed) => {
    const store = openStore()
    await keep(store, server(), known('a'))
    expect(await read(store, changed)).toBeUndefined()
    expect(await read(store, server())).toBeDefined()
  })

  it('hold no secret of the entry', async () => {
    const store = openStore()
    const config = server({ command: 'x', env: { TOKEN: 'hush-hush' } })
    await keep(store, config, known('a'))
    expect(JSON.stringify(await read(store, config))).not.toContain('hush-hush')
  })

  it('are not there when the store cannot be read: a warning, and a cold start', async () => {
    const store = { ...openStore(), get: () => Promise.reject(new Error('disk on fire')) }
    lines.length = 0
    expect(await read(store, server())).toBeUndefined()
    expect(lines).toEqual(['warn: its kept lists could not be read: disk on fire'])
  })

  it('that cannot be written are a warning, and the next ones are tried again', async () => {
    const store = openStore()
    const put = vi.spyOn(store, 'put').mockRejectedValueOnce(new Error('disk full'))
    const kept = createKeptLists(store, server(), logger)
    lines.length = 0
    kept.write(known('a'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(lines).toEqual(['warn: its lists could not be kept: disk full'])
    kept.write(known('b'))
    await kept.close()
    expect(put).toHaveBeenCalledTimes(2)
    expect(await read(store, server())).toMatchObject(known('b'))
  })

  it('are written once for many changes in a moment: the last', async () => {
    const store = openStore()
    const put = vi.spyOn(store, 'put')
    const kept = createKeptLists(store, server(), logger)
    for (let count = 0; count < 100; count++) kept.write(known(`a${count}`))
    expect(put).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1000)
    expect(put).toHaveBeenCalledTimes(1)
    expect(await read(store, server())).toMatchObject(known('a99'))
    kept.write(known('b'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(put).toHaveBeenCalledTimes(2)
    expect(await read(store, server())).toMatchObject(known('b'))
  })

  it('never stop being written where changes never stop', async () => {
    const store = openStore()
    const put = vi.spyOn(store, 'put')
    const kept = createKeptLists(store, server(), logger)
    for (let count = 0; count < 50; count++) {
      kept.write(known(`a${count}`))
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(put.mock.calls.length).toBeGreaterThan(1)
    await kept.close()
  })

  it('that wait are written when it closes, and no timer stays', async () => {
    const store = openStore()
    await keep(store, server(), known('a'))
    expect(vi.getTimerCount()).toBe(0)
    expect(await read(store, server())).toMatchObject(known('a'))
  })

  it('are forgotten after a month', async () => {
    const store = openStore()
    await keep(store, server(), known('a'))
    vi.setSystemTime(Date.now() + 29 * 24 * 3_600_000)
    expect(await read(store, server())).toBeDefined()
    vi.setSystemTime(Date.now() + 2 * 24 * 3_600_000)
    expect(await read(store, server())).toBeUndefined()
  })
})
