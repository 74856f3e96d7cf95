import { expect, test } from 'vitest'
import { createLink } from '../../../plugins/transport-streamable/link.ts'
import { standBy } from '../../../plugins/transport-streamable/standby.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'
import { serve, stream } from '../../fixtures/transport/http-server.ts'

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
  await link.pool.destroy()
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
