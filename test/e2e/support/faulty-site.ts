import type { ServerResponse } from 'node:http'
import { json, serve, type Seen } from '../../fixtures/transport/http-server.ts'

/** What a site does instead of what it should, by JSON-RPC method, `GET` or `DELETE`. */
export type Misdeeds = Readonly<Record<string, (response: ServerResponse, seen: Seen) => void>>

const text = (value: unknown) => ({ content: [{ type: 'text', text: String(value) }] })

/** Answers of a well-behaved server with one tool, `echo {text}`. */
const RESULTS: Readonly<Record<string, (params: any) => object>> = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {}, logging: {} },
    serverInfo: { name: 'faulty-site', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [{ name: 'echo', inputSchema: { type: 'object' } }] }),
  'tools/call': (params) => text(params.arguments.text),
}

/** A Streamable HTTP server of one session that misbehaves as given. */
export function serveFaulty(misdeeds: Misdeeds) {
  return serve((seen, response) => {
    const { method, body } = seen
    const misdeed = misdeeds[method === 'POST' ? body.method : method]
    if (misdeed !== undefined) return misdeed(response, seen)
    if (method !== 'POST') return void response.writeHead(method === 'DELETE' ? 204 : 405).end()
    if (body.id === undefined) return void response.writeHead(202).end()
    json(response, answerTo(body), 200, body.method === 'initialize' ? { 'mcp-session-id': 'the-one' } : {})
  })
}

/** The right answer to a request. */
export function answerTo({ id, method, params = {} }: any): object {
  const result = RESULTS[method]?.(params)
  return result
    ? { jsonrpc: '2.0', id, result }
    : { jsonrpc: '2.0', id, error: { code: -32601, message: 'not served' } }
}
