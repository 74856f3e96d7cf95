import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { send } from '../../../plugins/transport-sse/http.ts'
import { closeSite, createSite } from '../../../plugins/transport-sse/site.ts'

const NOTES = 100_000
const note = (n: number) => `data: {"jsonrpc":"2.0","method":"flood","params":{"n":${n}}}\n\n`
const flood = Array.from({ length: NOTES }, (_, n) => note(n)).join('')

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close()
})

/** A server that writes `answer` at once, as raw HTTP, and ends. */
async function rawServer(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('data', () => answer(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  toClose.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** Reads the answer, and counts how many messages came between two turns of the event loop. */
async function readAll(url: string) {
  const site = createSite('transport-sse', { url }, 'x', 1_000_000)
  toClose.push(() => closeSite(site))
  const seen: unknown[] = []
  let thisTurn = 0
  let most = 0
  let turning = true
  const turn = (): void => {
    thisTurn = 0
    if (turning) setImmediate(turn)
  }
  turn()
  const onmessage = (message: object) => {
    seen.push('params' in message && (message.params as { n: number }).n)
    most = Math.max(most, ++thisTurn)
  }
  const end = await send(site, { method: 'GET', headers: {} }, { onmessage }).reply.catch((error: unknown) => error)
  turning = false
  return { seen, most, end }
}

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n'

test.each([
  ['in chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n${flood.length.toString(16)}\r\n${flood}\r\n0\r\n\r\n`],
  ['with its length', `${HEAD}Content-Length: ${flood.length}\r\n\r\n${flood}`],
  ['until the socket ends', `${HEAD}Connection: close\r\n\r\n${flood}`],
  ['until the socket ends, in HTTP/1.0', `${HEAD.replace('1.1', '1.0')}\r\n${flood}`],
])('a flood comes in turns, and comes whole: %s', async (_how, answer) => {
  const { seen, most, end } = await readAll(await rawServer((socket) => socket.end(answer)))
  expect(end).toMatchObject({ status: 200, streamed: true })
  expect(seen).toEqual(Array.from({ length: NOTES }, (_, n) => n))
  // Two reads of 64 KiB each; without turns it is up to 2 MB.
  expect(most * note(NOTES).length).toBeLessThan(3 * 65_536)
})

test('a flood that breaks off in the middle is an error, after what had come', async () => {
  const { seen, end } = await readAll(
    await rawServer((socket) => socket.end(`${HEAD}Content-Length: ${2 * flood.length}\r\n\r\n${flood}data: {"js`)),
  )
  expect(seen).toHaveLength(NOTES)
  expect(end).toMatchObject({ name: 'ConnectionError', delivered: true })
})

test('a flood that is given up in the middle ends', async () => {
  const url = await rawServer((socket) => {
    socket.write(`${HEAD}Connection: close\r\n\r\n`)
    const pour = () => {
      while (!socket.destroyed && socket.write(flood));
    }
    socket.on('drain', pour)
    pour()
  })
  const site = createSite('transport-sse', { url }, 'x', 1_000_000)
  toClose.push(() => closeSite(site))
  let seen = 0
  const underway = send(
    site,
    { method: 'GET', headers: {} },
    { onmessage: () => ++seen === 250_000 && underway.stop() },
  )
  await expect(underway.reply).rejects.toMatchObject({ name: 'ConnectionError' })
  const atStop = seen
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(seen - atStop).toBeLessThan(5000)
})
