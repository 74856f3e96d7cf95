import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Config } from '../../core/config/define.ts'
import { resolveConfig } from '../../core/config/resolve.ts'
import { AuthError } from '../../core/errors.ts'
import { createKernel, type Kernel } from '../../core/kernel.ts'
import { definePlugin, type Contribution, type Plugin, type PluginContext } from '../../core/plugin.ts'
import { memoryDriver } from '../../core/store/memory.ts'
import { captureLog, openLegacy, ROOT, servers } from '../harness.ts'

let dataDir: string
const open: Kernel[] = []

beforeEach(async () => void (dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-kernel-'))))
afterEach(async () => {
  for (const kernel of open.splice(0)) await kernel.close()
  await rm(dataDir, { recursive: true, force: true })
})

async function kernelOf(config: Config, logger = captureLog().logger): Promise<Kernel> {
  const kernel = await createKernel(resolveConfig({ dataDir, ...config }, { rootDir: ROOT, env: {} }), { logger })
  open.push(kernel)
  return kernel
}

function plugin(name: string, contribution: Contribution | (() => Contribution | Promise<Contribution>) = {}): Plugin {
  return definePlugin({ name, setup: () => (typeof contribution === 'function' ? contribution() : contribution) })
}

/** Plugins that tell when they are set up and disposed. */
function recorder() {
  const events: string[] = []
  const make = (name: string, fail?: { setup?: boolean; dispose?: boolean }) =>
    plugin(name, () => {
      events.push(`setup ${name}`)
      if (fail?.setup) throw new Error('no luck')
      return {
        dispose: () => {
          events.push(`dispose ${name}`)
          if (fail?.dispose) throw new Error('stuck')
        },
      }
    })
  return { events, make }
}

describe('plugins', () => {
  test('are set up in order and disposed in reverse', async () => {
    const { events, make } = recorder()
    const kernel = await kernelOf({ plugins: [make('a'), make('b'), make('c')] })
    await kernel.close()
    await kernel.close()
    expect(events).toEqual(['setup a', 'setup b', 'setup c', 'dispose c', 'dispose b', 'dispose a'])
  })

  test('set up before a failing one are disposed, the error names the failing one', async () => {
    const { events, make } = recorder()
    const failing = kernelOf({ plugins: [make('a'), make('b', { setup: true }), make('c')] })
    await expect(failing).rejects.toMatchObject({
      code: 'ERR_PROXY_PLUGIN',
      message: 'plugin "b" failed to set up: no luck',
    })
    expect(events).toEqual(['setup a', 'setup b', 'dispose a'])
  })

  test('one that fails to dispose is reported and stops no other', async () => {
    const { events, make } = recorder()
    const log = captureLog()
    const kernel = await kernelOf({ plugins: [make('a'), make('b', { dispose: true })] }, log.logger)
    await kernel.close()
    expect(events.slice(2)).toEqual(['dispose b', 'dispose a'])
    expect(log.text()).toContain('plugin "b" did not close: stuck')
  })

  test('listed twice are refused by name', async () => {
    await expect(kernelOf({ plugins: [plugin('a'), plugin('a')] })).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringContaining('"a" is listed twice'),
    })
  })

  test.each([
    ['storage', { storage: memoryDriver() }],
    ['access', { access: { permissions: () => undefined } }],
    ['transports "stdio"', { transports: [{ type: 'stdio' } as never] }],
    ['routes "GET /x"', { routes: [{ method: 'get', path: '/x', handler: () => new Response() }] }],
    ['commands "c"', { commands: [{ name: 'c', description: '', run: async () => 0 }] }],
  ] as [string, Contribution][])('that both fill %s are named, both', async (slot, contribution) => {
    const both = kernelOf({ plugins: [plugin('first', contribution), plugin('second', contribution)] })
    await expect(both).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: `plugins: "first" and "second" both fill ${slot}; remove one of them from "plugins"`,
    })
  })

  test('that both answer to one type, be it an alias, are named, both', async () => {
    const first = plugin('first', { transports: [{ type: 'a', aliases: ['x'] } as never] })
    const second = plugin('second', { transports: [{ type: 'x' } as never] })
    await expect(kernelOf({ plugins: [first, second] })).rejects.toThrow(
      '"first" and "second" both fill transports "x"',
    )
  })

  test('unknown ones are named with what to do', async () => {
    await expect(kernelOf({ plugins: ['transport-pigeon'] })).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringMatching(/"transport-pigeon" is unknown.*check the spelling or install it/),
    })
  })

  test('that are no plugins are refused', async () => {
    await expect(kernelOf({ plugins: [{ name: 'x' } as never] })).rejects.toThrow(/expected a plugin, its name/)
    await expect(kernelOf({ plugins: [{ name: 'x', apiVersion: 2, setup() {} } as never] })).rejects.toThrow(
      /needs plugin API 2/,
    )
  })

  test('get a store of their own once everything is set up', async () => {
    let early: unknown
    const stores: Record<
      string,
      { put(key: string, value: string): Promise<void>; get(key: string): Promise<unknown> }
    > = {}
    const keeper = (name: string) =>
      definePlugin({
        name,
        async setup({ storage }) {
          stores[name] = storage
          early ??= await storage.get('k:1').catch((error) => error)
        },
      })
    await kernelOf({ plugins: [keeper('a'), keeper('b')] })
    expect(early).toMatchObject({ code: 'ERR_PROXY_STORAGE', message: expect.stringContaining('after set-up') })
    await stores.a?.put('k:1', 'from a')
    expect(await stores.b?.get('k:1')).toBeUndefined()
    expect(await stores.a?.get('k:1')).toBe('from a')
  })

  test('are handed what the access policy says, and without one everybody may do everything', async () => {
    const contexts: PluginContext[] = []
    const asking = (name: string) => definePlugin({ name, setup: (context) => void contexts.push(context) })
    const permissions = { allowedTools: ['a_*'] }
    const policy = plugin('policy', { access: { permissions: ({ id }) => (id === 'ada' ? permissions : undefined) } })
    await kernelOf({ plugins: [asking('early'), policy, asking('late')] })
    for (const { permissions: ask } of contexts) {
      expect(await ask({ id: 'ada', roles: [] })).toBe(permissions)
      expect(await ask({ id: 'eve', roles: [] })).toBeUndefined()
    }
    await kernelOf({ plugins: [asking('alone')] })
    const all = await contexts.at(-1)?.permissions({ id: 'eve', roles: [] })
    expect(all).toEqual({ allowedTools: ['*'] })
    // The same as long as nothing changes, like that of a policy.
    expect(await contexts.at(-1)?.permissions({ id: 'ada', roles: [] })).toBe(all)
  })

  test('may ask for a recheck at any time, before anything is open and after all is closed', async () => {
    const contexts: PluginContext[] = []
    const asking = definePlugin({
      name: 'asking',
      setup(context) {
        contexts.push(context)
        context.recheck()
      },
    })
    const kernel = await kernelOf({ plugins: [asking] })
    contexts[0]?.recheck()
    await kernel.close()
    contexts[0]?.recheck()
    expect(contexts).toHaveLength(1)
  })

  test('name users as the log does', async () => {
    const labels: string[] = []
    const naming = definePlugin({
      name: 'naming',
      setup: ({ userLabel }) => void labels.push(userLabel({ id: 'ada', email: 'ada@example.com' })),
    })
    await kernelOf({ plugins: [naming] })
    await kernelOf({ plugins: [naming], log: { user: 'hash' } })
    expect(labels).toEqual(['ada@example.com', expect.stringMatching(/^[\w-]{16}$/)])
  })

  test('hear of what happens, and one that throws harms nobody', async () => {
    const events: unknown[] = []
    const log = captureLog()
    const kernel = await kernelOf(
      {
        mcpServers: { echo: servers.fault('echo') },
        plugins: [
          'transport-stdio',
          plugin('angry', { hooks: { 'upstream:up': () => Promise.reject(new Error('I throw')) } }),
          plugin('calm', {
            hooks: {
              ready: () => void events.push('ready'),
              close: () => void events.push('close'),
              'upstream:up': (event) => void events.push(event),
              'session:open': ({ principal }) => void events.push(`session of ${principal}`),
            },
          }),
        ],
      },
      log.logger,
    )
    kernel.start()
    await kernel.ready
    await openLegacy('http://localhost/mcp', '2025-11-25', (input, init) => kernel.fetch(new Request(input, init)))
    await kernel.close()
    expect(events).toEqual([{ name: 'echo', tools: 3 }, 'ready', 'session of local', 'close'])
    expect(log.text()).toContain('hook upstream:up of plugin "angry" failed: I throw')
  })
})

describe('auth and access', () => {
  const byHeader = plugin('by-header', {
    auth: {
      authenticate(request) {
        const user = request.headers.get('x-user')
        if (user === 'banned') throw new AuthError(403, 'Banned.')
        return user === null ? undefined : { id: user, roles: [] }
      },
      challenge: () => ({ 'www-authenticate': 'Bearer realm="test"' }),
    },
  })
  const ping = (kernel: Kernel, user?: string) =>
    kernel.fetch(
      new Request('http://localhost/mcp', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(user && { 'x-user': user }) },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: { protocolVersion: '2025-11-25' },
        }),
      }),
    )

  test('unknown callers get a 401 with every challenge, known ones pass, refused ones get 403', async () => {
    const kernel = await kernelOf({ plugins: [byHeader] })
    const stranger = await ping(kernel)
    expect(stranger.status).toBe(401)
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer realm="test"')
    expect((await ping(kernel, 'ada')).status).toBe(200)
    expect((await ping(kernel, 'banned')).status).toBe(403)
  })

  test('the access policy has the last word', async () => {
    const onlyAda = plugin('only-ada', {
      access: { permissions: ({ id }) => (id === 'ada' ? { allowedTools: ['*'] } : undefined) },
    })
    const kernel = await kernelOf({ plugins: [byHeader, onlyAda] })
    expect((await ping(kernel, 'ada')).status).toBe(200)
    expect((await ping(kernel, 'eve')).status).toBe(403)
  })
})

test('a public host without auth is refused, with the ways out', async () => {
  await expect(kernelOf({ host: '0.0.0.0' })).rejects.toMatchObject({
    code: 'ERR_PROXY_CONFIG',
    message: expect.stringContaining('MCP_ALLOW_UNAUTHENTICATED'),
  })
  await kernelOf({ host: '0.0.0.0', allowUnauthenticated: true })
})

test('after close every request is refused', async () => {
  const kernel = await kernelOf({})
  await kernel.close()
  expect((await kernel.fetch(new Request('http://localhost/healthz'))).status).toBe(503)
})
