import { once } from 'node:events'
import { connect as dial, createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import {
  asMessage,
  ConnectionError,
  createPipe,
  type Connection,
  type Exchange,
  type RpcMessage,
  type TransportContext,
} from '../../core/index.ts'
import { createScript, transportContract, type MadeTransport, type Runner } from '../../testing/index.ts'
import { record } from './recording.ts'

/** The scripted server behind JSON lines over TCP: each connection is one client. */
async function serveLines(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const script = createScript({
      send: (message) => void socket.write(`${JSON.stringify(message)}\n`),
      die: () => socket.destroy(),
    })
    onLines(socket, (message) => script.receive(message))
    socket.on('error', () => undefined)
    socket.on('close', () => script.close())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Hands in every line that is a message; a line that is none ends the connection. */
function onLines(socket: Socket, receive: (message: RpcMessage) => void, split: Split = atLineFeeds): void {
  split(socket, (line) => {
    const message = asMessage(parsed(line))
    if (message === undefined) socket.destroy()
    else receive(message)
  })
}

type Split = (socket: Socket, online: (line: string) => void) => void

const atLineFeeds: Split = (socket, online) => {
  let rest = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) online(line)
  })
}

/** Node's own reader of lines takes U+2028 for the end of one; JSON does not. */
const withReadline: Split = (socket, online) => void createInterface({ input: socket }).on('line', online)

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** A transport as others would write it: a socket under the pipe of the public face. */
async function connectLines(port: number, { maxMessageBytes }: TransportContext, split?: Split): Promise<Connection> {
  const socket = dial(port, '127.0.0.1')
  await once(socket, 'connect')
  let closing = false
  const pipe = createPipe({
    write: async (message) => void socket.write(`${JSON.stringify(message)}\n`),
  })
  onLines(
    socket,
    (message) => {
      const size = Buffer.byteLength(JSON.stringify(message))
      if (size <= maxMessageBytes) return pipe.receive(message)
      const failure = new ConnectionError(`a message of more than ${maxMessageBytes} bytes`, {
        delivered: true,
        lost: false,
      })
      if ('id' in message && !('method' in message)) pipe.reject(message.id ?? '', failure)
    },
    split,
  )
  socket.on('error', () => undefined)
  const closed = once(socket, 'close').then(() => {
    const reason = new ConnectionError('the socket was closed', { delivered: true, lost: true })
    pipe.end(reason)
    return closing ? undefined : reason
  })
  return Object.assign(pipe, {
    perRequestStream: false,
    closed,
    async close() {
      closing = true
      socket.destroy()
      await closed
    },
  })
}

type Change = (connection: Connection) => Connection

async function overLines(change: Change = (connection) => connection, split?: Split): Promise<MadeTransport> {
  const server = await serveLines()
  return {
    connect: async (context) => change(await connectLines(server.port, context, split)),
    dispose: server.close,
  }
}

transportContract({ describe, test }, 'JSON lines over TCP, before the scripted server of the kit', () => overLines())

/** The connection with something of it replaced; what is said to nobody goes where `told` says. */
function changed(connection: Connection, change: Partial<Connection>, told?: Connection['onmessage']): Connection {
  const copy: Connection = { ...connection, ...change }
  connection.onmessage = (message, party) => (told ?? copy.onmessage)?.(message, party)
  return copy
}

const BROKEN: readonly (readonly [what: string, change: Change, found: string])[] = [
  [
    'every message told to whoever asked last',
    (connection) => {
      let last: Exchange | undefined
      const request: Connection['request'] = (message, exchange) => {
        last = exchange
        return connection.request(message, exchange)
      }
      return changed(connection, { request }, (message) => last?.onmessage(message))
    },
    'two parties: what belongs to no request is nobody’s',
  ],
  [
    'text that is not UTF-8',
    (connection) =>
      changed(connection, {
        async request(message, exchange) {
          const response = await connection.request(message, exchange)
          return JSON.parse(Buffer.from(JSON.stringify(response), 'latin1').toString('utf8'))
        },
      }),
    'keeps every character',
  ],
  [
    'one request after the other',
    (connection) => {
      let before: Promise<unknown> = Promise.resolve()
      return changed(connection, {
        request(message, exchange) {
          const response = before.then(() => connection.request(message, exchange))
          before = response.catch(() => undefined)
          return response
        },
      })
    },
    'answers many at once, out of order',
  ],
  [
    'an error of any kind',
    (connection) =>
      changed(connection, {
        request: (message, exchange) =>
          connection.request(message, exchange).catch((error: unknown) => {
            throw new Error('failed', { cause: error })
          }),
      }),
    'abort ends the wait and nothing else',
  ],
  [
    'a close that is told as a failure',
    (connection) => changed(connection, { closed: connection.closed.then(() => new Error('closed')) }),
    'close() ends what is in flight, twice is once, and nothing passes afterwards',
  ],
]

describe('the transport suite finds', () => {
  test.each(BROKEN)('%s', async (_, change, found) => {
    const declare = (runner: Runner) => transportContract(runner, 'broken', () => overLines(change))
    expect((await record(declare, [found])).failures).toHaveProperty([found])
  })

  test('lines that end where JSON has no end', async () => {
    const found = 'keeps every character'
    const declare = (runner: Runner) => transportContract(runner, 'broken', () => overLines(undefined, withReadline))
    expect((await record(declare, [found])).failures).toHaveProperty([found])
  })
})
