import { expect, test } from 'vitest'
import { closeSite } from '../../../plugins/transport-sse/index.ts'
import { createLink } from '../../../plugins/transport-streamable/link.ts'
import { standBy } from '../../../plugins/transport-streamable/standby.ts'
import { memoryLogger, until } from '../../fixtures/transport/context.ts'
import { serve, stream, type Handler, type Seen } from '../../fixtures/transport/http-server.ts'

/** Serves one GET after another with `answers` and returns the attempt numbers that the pauses were computed from. */
async function attempts(answers: ('close' | 'message' | 503 | 'break')[]): Promise<number[]> {
  const seen: number[] = []
  const stop = new AbortController()
  let next = 0
  const server = await serve((_seen, response) => {
    const answer = answers[next++]
    if (answer === undefined) return stop.abort()
    if (typeof answer === 'number') return void response.writeHead(answer).end()
    const data = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }
    stream(response, ...(answer === 'message' ? [{ data }] : []))
    if (answer === 'break') response.destroy()
    else response.end()
  })
  const link = createLink({ url: server.url }, 'x', 1000)
  await standBy(link, {
    logger: memoryLogger().logger,
    signal: stop.signal,
    onmessage: () => {},
    onlost: () => {},
    delay(attempt) {
      seen.push(attempt)
      return 0
    },
  })
  await closeSite(link)
  await server.close()
  return seen
}

test('pauses grow when a server closes at once, however gracefully', async () => {
  expect(await attempts(['close', 'close', 'close', 'close', 'close'])).toEqual([0, 1, 2, 3, 4])
})

test('pauses grow over errors and broken streams too', async () => {
  expect(await attempts([503, 'break', 503, 'break'])).toEqual([0, 1, 2, 3])
})

test('a message starts them anew', async () => {
  expect(await attempts(['close', 'close', 'message', 'close'])).toEqual([0, 1, 0, 1])
})

/** Listens to a server that answers every GET alike, until `enough`. */
async function listenTo(handler: Handler, maxMessageBytes: number, enough: (seen: Listening) => boolean) {
  const stop = new AbortController()
  const server = await serve(handler)
  const { logger, lines } = memoryLogger()
  const seen: Listening = { pauses: [], methods: [], requests: server.requests, lines }
  const link = createLink({ url: server.url }, 'x', maxMessageBytes)
  const over = standBy(link, {
    logger,
    signal: stop.signal,
    onmessage: (message) => 'method' in message && seen.methods.push(message.method),
    onlost: () => {},
    delay: () => 30,
    wait: async (ms) => void seen.pauses.push(ms),
  })
  await until(() => enough(seen))
  stop.abort()
  await over
  await closeSite(link)
  await server.close()
  return seen
}
interface Listening {
  readonly pauses: number[]
  readonly methods: string[]
  readonly requests: readonly Seen[]
  readonly lines: readonly string[]
}

test('the server’s "retry:" is the least pause, once it has said it', async () => {
  let times = 0
  const answer: Handler = (_seen, response) => {
    stream(response, ...(times++ === 1 ? [{ retry: 400 }] : []))
    response.end()
  }
  const { pauses } = await listenTo(answer, 1000, ({ pauses }) => pauses.length >= 3)
  expect(pauses.slice(0, 3)).toEqual([30, 400, 400])
})

test('comes back behind the last event it has seen', async () => {
  const answer: Handler = ({ headers }, response) => {
    stream(response, { id: `${String(headers['last-event-id'] ?? '')}x` })
    response.end()
  }
  const { requests } = await listenTo(answer, 1000, ({ requests }) => requests.length >= 3)
  expect(requests.slice(0, 3).map(({ headers }) => headers['last-event-id'])).toEqual([undefined, 'x', 'xx'])
})

test('a message over the limit is skipped, not the stream, and does not come again', async () => {
  const note = (method: string, text: string) => ({ jsonrpc: '2.0', method, params: { text } })
  const answer: Handler = ({ headers }, response) => {
    if (headers['last-event-id'] !== undefined) return void response.writeHead(405).end()
    stream(response, { id: 'big', data: note('huge', 'é'.repeat(100_000)) }, { data: note('small', '') })
    response.end()
  }
  const seen = await listenTo(answer, 50_000, ({ requests }) => requests.length >= 2)
  expect(seen.methods).toEqual(['small'])
  expect(seen.requests[1]?.headers['last-event-id']).toBe('big')
  expect(seen.lines.filter((line) => line.startsWith('warn'))).toEqual([expect.stringContaining('50000 bytes')])
})
