import type { ServerResponse } from 'node:http'
import { expect } from 'vitest'
import { serve, type Seen } from '../../fixtures/transport/http-server.ts'
import { servers, type TestProxy } from '../../harness.ts'
import { answerTo, serveFaulty, type Misdeeds } from './faulty-site.ts'
import { startStateful } from './stateful.ts'
import { until } from './until.ts'
import type { Wire } from './wire.ts'

/** A server that is not as it should be. */
export interface Bad {
  readonly entry: object
  close?(): Promise<unknown>
}

export interface Fault {
  readonly name: string
  open(): Promise<Bad> | Bad
  /** The state that the first connect ends in, unless that does not last, and the one that the fault leaves behind. */
  readonly state: readonly [first: 'up' | 'down' | undefined, last: 'up' | 'down']
  /** What a client gets when the fault shows. */
  readonly got: unknown
  /** What the log says at `warn` or above. */
  readonly said: RegExp
  /** How the fault is made to show; `bad_echo` is called where absent. */
  strike?(wire: Wire, proxy: TestProxy): Promise<unknown>
}

const QUICK = { requestTimeout: 500, connectTimeout: 1500 }
const UNKNOWN = { error: { code: -32602, message: 'Unknown tool: bad_echo' } }
export const REFUSED = { error: { code: expect.any(Number), message: expect.stringContaining('bad') } }
const failed = (what: string) => ({ error: { code: -32603, message: `server "bad" ${what}` } })
export const echoed = (text: string) => ({ result: { content: [{ type: 'text', text }] } })

/** A program of the fault server. */
export const program = (mode: string) => () => ({ entry: { ...servers.fault(mode), ...QUICK } })

/** A site that misbehaves. */
export const site = (misdeeds: Misdeeds) => async (): Promise<Bad> => {
  const { url, close } = await serveFaulty(misdeeds)
  return { entry: { url, ...QUICK }, close }
}

const status = (code: number, headers: Record<string, string> = {}) => {
  return (response: ServerResponse) => void response.writeHead(code, headers).end('never mind')
}

/** Says one byte of the right answer every 20 ms, and never the last one. */
function drip(response: ServerResponse, { body }: Seen): void {
  const text = JSON.stringify(answerTo(body))
  let at = 0
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => at < text.length - 1 && response.write(text.charAt(at++)), 20)
  response.on('close', () => clearInterval(timer))
}

/** Breaks off in the middle of an event, and of a character. */
function cut(response: ServerResponse, { body }: Seen): void {
  const event = Buffer.from(`event: message\ndata: ${JSON.stringify(answerTo(body))}é`)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(event.subarray(0, -1), () => response.destroy())
}

/** A list that goes on for ever. */
function pour(response: ServerResponse, { body }: Seen): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write(`{"jsonrpc":"2.0","id":${body.id},"result":{"tools":[`)
  const more = () => {
    while (!response.destroyed && response.write(`${JSON.stringify({ name: 'x'.repeat(1000) })},`));
  }
  response.on('drain', more)
  more()
}

const goRound = (response: ServerResponse, { path }: Seen) => {
  const at = Number(new URL(path, 'http://site').searchParams.get('round') ?? 0)
  response.writeHead(307, { location: `/mcp?key=hidden&round=${at + 1}` }).end()
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'a program that exits at once',
    open: program('exit'),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*exited with code 3; its last words: fault-server: cannot go on/,
  },
  {
    name: 'a program that exits when it is initialized',
    open: program('exit-initialize'),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*exited with code 4; next attempt in/,
  },
  {
    name: 'a program that exits once it is up',
    open: program('exit-later'),
    state: [undefined, 'down'],
    got: failed('is down; the log of the proxy says why'),
    said: /down: .*exited with code 5; next attempt in/,
    async strike(wire, proxy) {
      await until('it is down', () => proxy.kernel.upstreams.some(({ state }) => state === 'down'))
      return callBad(wire)
    },
  },
  {
    name: 'a program that ends in the middle of a line',
    open: program('half-line'),
    state: ['up', 'down'],
    got: failed('exited with code 6'),
    said: /stdout has a line that is no MCP message .*"type":"te$/m,
  },
  {
    name: 'a program that writes other things to stdout',
    open: program('garbage'),
    state: ['up', 'up'],
    got: echoed('anybody?'),
    said: /stdout has a line that is no MCP message .*: Listening …/,
  },
  {
    name: 'an address where nobody listens',
    async open() {
      const { url, close } = await serve(() => {})
      await close()
      return { entry: { url, ...QUICK } }
    },
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*nobody listens there \(connection refused\); check "url"/,
  },
  {
    name: 'a site that answers initialize with 500',
    open: site({ initialize: status(500) }),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*500/,
  },
  {
    name: 'a site that answers calls with 500',
    open: site({ 'tools/call': status(500) }),
    state: ['up', 'up'],
    got: failed('answered with HTTP status 500'),
    said: /tools\/call failed: .*500/,
  },
  {
    name: 'a site that forgets its session',
    async open() {
      const { url, close } = await startStateful()
      return { entry: { url, ...QUICK, isolate: 'shared' }, close }
    },
    state: ['up', 'up'],
    got: { calls: 1 },
    said: /404/,
    async strike(wire) {
      await wire.tool('bad_forget')
      return wire.tool('bad_whoami')
    },
  },
  {
    name: 'a site that answers initialize with 401',
    open: site({ initialize: status(401, { 'www-authenticate': 'Bearer realm="x"' }) }),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*401/,
  },
  {
    name: 'a site that answers calls with 401',
    open: site({ 'tools/call': status(401, { 'www-authenticate': 'Bearer realm="x"' }) }),
    state: ['up', 'up'],
    got: failed('answered with HTTP status 401'),
    said: /tools\/call failed: .*401/,
  },
  {
    name: 'a site that redirects for ever',
    open: site({ initialize: goRound }),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: .*redirects in a loop/,
  },
  {
    name: 'a site that redirects calls for ever',
    open: site({ 'tools/call': goRound }),
    state: ['up', 'up'],
    got: failed('answered with HTTP status 307'),
    said: /tools\/call failed: .*redirects in a loop/,
  },
  {
    name: 'a site that says initialize byte by byte',
    open: site({ initialize: drip }),
    state: ['down', 'down'],
    got: UNKNOWN,
    said: /down: no answer within 1.5 s of connecting/,
  },
  {
    name: 'a site that says an answer byte by byte',
    open: site({ 'tools/call': drip }),
    state: ['up', 'up'],
    got: { error: { code: -32603, message: expect.stringContaining('gave no answer to tools/call within') } },
    said: /^$/,
  },
  {
    name: 'a site that cuts its stream in the middle of an event',
    open: site({ 'tools/call': cut }),
    state: ['up', 'up'],
    got: failed('gave no usable answer'),
    said: /tools\/call failed: .*the connection broke/,
  },
  {
    name: 'a site whose list never ends',
    open: site({ 'tools/list': pour }),
    state: ['up', 'up'],
    got: UNKNOWN,
    said: /tools\/list failed: .*sent a message of more than 1000000 bytes/,
  },
]

/** Calls a tool and resolves with the response, whatever it is. */
export const call = async (wire: Wire, tool: string, args: object) =>
  wire.send('tools/call', { name: tool, arguments: args }).response
export const callBad = (wire: Wire) => call(wire, 'bad_echo', { text: 'anybody?' })
