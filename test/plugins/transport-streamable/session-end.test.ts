import { describe, expect, test } from 'vitest'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { clientOf, failureOf } from '../../fixtures/transport/client.ts'
import { initialize, recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import type { Handler } from '../../fixtures/transport/http-server.ts'
import { keepSessions, type SessionKeeper, type Stage } from '../../fixtures/transport/session-keeper.ts'

const { listen, connect } = clientOf(transportStreamable(), { type: 'http' })

type Otherwise = (keeper: SessionKeeper) => Partial<Record<Stage, Handler>>

/** A server that remembers its sessions, and a connection to it without one yet. */
async function start(otherwise?: Otherwise) {
  const keeper = await keepSessions(listen, otherwise)
  return { keeper, ...(await connect(keeper.url)) }
}

const request = (method: Stage) => ({ ...toolCall('x'), method })
/** Everything in this process stands still, as under load or while the machine sleeps. */
const freeze = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

describe('the end of a session reaches a server', () => {
  test('that closes its resting sockets in that very moment', async () => {
    const { keeper, connection } = await start()
    await initialize(connection)
    await Promise.all([1, 2, 3].map(() => connection.request(toolCall('nothing'), recorder().exchange)))
    keeper.server.closeIdleConnections()
    await connection.close()
    expect([...keeper.sessions]).toEqual([])
    expect(keeper.ended).toEqual(['session-1'])
  })

  test('although the process stands still for longer than it waits', async () => {
    const { keeper, connection } = await start()
    // Each request has to connect first.
    keeper.server.maxRequestsPerSocket = 1
    await initialize(connection)
    const closing = connection.close()
    await Promise.resolve()
    freeze(2500)
    await closing
    expect([...keeper.sessions]).toEqual([])
  })

  test('once, although it was given up and closed', async () => {
    const { keeper, connection } = await start(({ open }) => ({
      // The id is there, the rest never comes.
      initialize: (_seen, response) => response.writeHead(200, { 'mcp-session-id': open() }).flushHeaders(),
    }))
    const stop = new AbortController()
    const failure = failureOf(connection.request(request('initialize'), recorder('', { signal: stop.signal }).exchange))
    await until(() => keeper.sessions.size === 1)
    // Time for what is known of it to arrive.
    for (let round = 0; round < 3; round++) await connection.request(toolCall('nothing'), recorder().exchange)
    stop.abort()
    await failure
    await connection.close()
    expect([...keeper.sessions]).toEqual([])
    expect(keeper.ended).toEqual(['session-1'])
  })

  test.each([
    ['breaks it off each time', (_seen, response) => response.destroy()],
    ['never answers it', () => {}],
    ['never ends its answer', (_seen, response) => response.writeHead(200).write(' ')],
    ['knows no such thing', (_seen, response) => response.writeHead(405).end()],
  ] as const satisfies readonly (readonly [string, Handler])[])(
    'and one that %s holds up nothing',
    { timeout: 8000 },
    async (_, answer: Handler) => {
      const { keeper, connection } = await start(() => ({ DELETE: answer }))
      await initialize(connection)
      await connection.close()
      expect(keeper.requests.filter(({ method }) => method === 'DELETE').length).toBeLessThanOrEqual(2)
    },
  )
})

describe.each(['initialize', 'server/discover'] as const)('a session begun by %s that is given up', (method) => {
  /** The request is on its way, and the server has begun a session, of which it has not said anything yet. */
  async function begun() {
    let tell = (): void => {}
    const { keeper, connection } = await start(({ open }) => {
      const begin: Handler = (_seen, response) => {
        const session = open()
        tell = () => void response.writeHead(200, { 'mcp-session-id': session }).end('no')
      }
      return { [method]: begin }
    })
    const stop = new AbortController()
    const failure = failureOf(connection.request(request(method), recorder('', { signal: stop.signal }).exchange))
    await until(() => keeper.sessions.size === 1)
    return { keeper, connection, stop, failure, tell: () => tell() }
  }

  test('is ended as soon as it is known, also when nobody closes', async () => {
    const { keeper, stop, failure, tell } = await begun()
    stop.abort()
    expect(await failure).toMatchObject({ delivered: true, lost: false })
    tell()
    await until(() => keeper.sessions.size === 0)
  })

  test('is ended by who gives it up and closes', async () => {
    const { keeper, connection, stop, failure, tell } = await begun()
    stop.abort()
    const closing = connection.close()
    await failure
    tell()
    await closing
    expect([...keeper.sessions]).toEqual([])
  })

  test('is ended by who closes', async () => {
    const { keeper, connection, failure, tell } = await begun()
    const closing = connection.close()
    expect(await failure).toMatchObject({ delivered: true, lost: true })
    tell()
    await closing
    expect([...keeper.sessions]).toEqual([])
    expect(keeper.ended).toEqual(['session-1'])
  })

  test('is left to a server that never tells of it: its sockets are closed all the same', async () => {
    const { keeper, connection, failure } = await begun()
    await connection.close()
    expect(await failure).toMatchObject({ delivered: true, lost: true })
    await expect.poll(keeper.sockets, { timeout: 10_000 }).toBe(0)
  })

  test('is left to a server that is gone', async () => {
    const { keeper, connection, failure } = await begun()
    const closing = connection.close()
    keeper.server.closeAllConnections()
    await Promise.all([closing, failure])
    await expect.poll(keeper.sockets, { timeout: 10_000 }).toBe(0)
  })
})
