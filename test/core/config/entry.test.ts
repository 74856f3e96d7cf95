import { expect, test } from 'vitest'
import { z } from 'zod'
import { parseEntry } from '../../../core/config/entry.ts'
import { resolveConfig } from '../../../core/config/resolve.ts'
import type { StandardSchemaV1 } from '../../../core/schema.ts'
import type { TransportAdapter } from '../../../core/transport.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'

const connect = () => Promise.reject(new Error('not in this test'))
const stdio: TransportAdapter = {
  type: 'stdio',
  schema: z.object({ type: z.string().optional(), command: z.string(), cwd: z.string().optional() }),
  connect,
}
const http: TransportAdapter = {
  type: 'http',
  aliases: ['streamable-http'],
  schema: z.object({ url: z.url() }).transform((entry) => ({ address: new URL(entry.url).href })),
  connect,
}

function parse(entry: JsonObject, adapters: readonly TransportAdapter[] = [stdio, http]) {
  const [server] = resolveConfig({ mcpServers: { one: entry } }, { env: {} }).servers
  return parseEntry(server!, adapters)
}

test.each([
  [{ command: 'x' }, 'stdio', { command: 'x' }],
  [{ type: 'stdio', command: 'x' }, 'stdio', { type: 'stdio', command: 'x' }],
  [{ url: 'https://a.example' }, 'http', { address: 'https://a.example/' }],
  [{ type: 'streamable-http', url: 'https://a.example' }, 'http', { address: 'https://a.example/' }],
])('%j goes to %s', async (entry, type, parsed) => {
  expect(await parse(entry)).toMatchObject({ adapter: { type }, entry: parsed, warnings: [] })
})

test.each([
  [{ command: 'x', url: 'y' }, 'mcpServers.one: has "command" and "url"; keep one, or add "type"'],
  [{ args: [] }, 'mcpServers.one: needs "command" (a program) or "url" (a server elsewhere)'],
  [{ ulr: 'x' }, 'mcpServers.one.ulr: unknown key; did you mean "url"?'],
  [
    { type: 'htp', url: 'x' },
    'mcpServers.one.type: no plugin for transport "htp"; loaded: stdio, http; did you mean "http"?',
  ],
  [{ type: 5 }, 'mcpServers.one.type: expected a text'],
  [{ command: 5 }, 'mcpServers.one.command: expected string, received number'],
  [{ url: 'nonsense' }, 'mcpServers.one.url: Invalid URL'],
  [{ command: 'x', cwdd: '/' }, 'mcpServers.one.cwdd: unknown key; did you mean "cwd"?'],
  [{ command: 'x', lzy: true }, 'mcpServers.one.lzy: unknown key; did you mean "lazy"?'],
])('%j: %s', async (entry, problem) => {
  expect(await parse(entry)).toEqual({ problem })
})

test('a transport that is not loaded names the plugin to add', async () => {
  expect(await parse({ command: 'x' }, [http])).toEqual({
    problem: 'mcpServers.one.command: needs the plugin "transport-stdio"; add it to "plugins"',
  })
  expect(await parse({ url: 'x' }, [])).toEqual({
    problem: 'mcpServers.one.url: needs the plugin "transport-streamable"; add it to "plugins"',
  })
})

test("any maker's schema may check, also later, and may fail", async () => {
  const schemaOf = (validate: StandardSchemaV1['~standard']['validate']): TransportAdapter => ({
    ...stdio,
    schema: { '~standard': { version: 1, vendor: 'own', validate } },
  })
  const later = schemaOf(async () => ({ issues: [{ message: 'too bad', path: [{ key: 'command' }] }] }))
  expect(await parse({ command: 'x' }, [later])).toEqual({ problem: 'mcpServers.one.command: too bad' })
  const broken = schemaOf(() => {
    throw new Error('oops')
  })
  expect(await parse({ command: 'x' }, [broken])).toEqual({
    problem: 'mcpServers.one: transport "stdio" failed to check the entry: oops',
  })
})
