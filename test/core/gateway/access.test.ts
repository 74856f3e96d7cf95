import { expect, it } from 'vitest'
import { definePlugin } from '../../../core/index.ts'
import { openLegacy, openProxy, servers } from '../../harness.ts'

const ALLOWED: Readonly<Record<string, readonly string[]>> = { anna: ['good_e*'], bert: [] }

const people = definePlugin({
  name: 'test-people',
  setup: () => ({
    auth: { authenticate: ({ headers }) => ({ id: headers.get('x-user') ?? 'nobody', roles: [] }) },
    access: {
      permissions: ({ id }) => (ALLOWED[id] === undefined ? undefined : { allowedTools: ALLOWED[id] }),
    },
  }),
})

it('what a person may use is what they see; who is not listed gets 403', async () => {
  const plugins = ['transport-stdio', 'storage-fs', people]
  const proxy = await openProxy({ plugins, mcpServers: { good: servers.fault('echo') } })
  const as = (user: string): typeof fetch => {
    return (input, init) => fetch(input, { ...init, headers: { ...(init?.headers as object), 'x-user': user } })
  }
  try {
    const anna = await openLegacy(proxy.url, '2025-11-25', as('anna'))
    expect((await anna.request('tools/list')).result.tools).toMatchObject([{ name: 'good_echo' }])
    expect(await anna.request('tools/call', { name: 'good_echo', arguments: { text: 'x' } })).toHaveProperty('result')
    const forbidden = await anna.request('tools/call', { name: 'good_sleep' })
    expect(forbidden.error).toEqual({ code: -32602, message: 'Unknown tool: good_sleep' })
    const bert = await openLegacy(proxy.url, '2025-11-25', as('bert'))
    expect((await bert.request('tools/list')).result.tools).toEqual([])
    const stranger = await as('eve')(proxy.url, { method: 'POST' })
    expect(stranger.status).toBe(403)
    expect(await stranger.json()).toMatchObject({ error: 'access_denied' })
  } finally {
    await proxy.close()
  }
})
