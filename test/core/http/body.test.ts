import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { BodyTooLarge, readBody } from '../../../core/http/body.ts'
import { serveHttp } from '../../../core/http/server.ts'
import { ORIGIN } from '../../fixtures/core/kernel.ts'

/** A request whose body arrives in pieces, without a Content-Length. */
function chunked(...pieces: Uint8Array[]): { request: Request; state: { pulled: number; cancelled: boolean } } {
  const state = { pulled: 0, cancelled: false }
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const piece = pieces[state.pulled++]
        if (piece === undefined) controller.close()
        else controller.enqueue(piece)
      },
      cancel: () => void (state.cancelled = true),
    },
    { highWaterMark: 0 },
  )
  return { request: new Request(ORIGIN, { method: 'POST', body, duplex: 'half' }), state }
}

describe('readBody', () => {
  it('reads a whole body, with and without Content-Length', async () => {
    const body = 'grüße 😀'
    const bytes = new TextEncoder().encode(body)
    const known = new Request(ORIGIN, { method: 'POST', body, headers: { 'content-length': String(bytes.length) } })
    expect(await readBody(known, bytes.length)).toBe(body)
    // Cut inside a character.
    expect(await readBody(chunked(bytes.subarray(0, 3), bytes.subarray(3)).request, bytes.length)).toBe(body)
    expect(await readBody(new Request(ORIGIN, { method: 'POST' }), 1)).toBe('')
  })

  it('refuses by Content-Length without reading', async () => {
    const { request, state } = chunked(new Uint8Array(10))
    request.headers.set('content-length', '10')
    await expect(readBody(request, 9)).rejects.toBeInstanceOf(BodyTooLarge)
    expect(state.pulled).toBe(0)
  })

  it('counts where there is no length, refuses at the limit and lets the client finish', async () => {
    const { request, state } = chunked(...Array.from({ length: 100 }, () => new Uint8Array(10)))
    await expect(readBody(request, 25)).rejects.toBeInstanceOf(BodyTooLarge)
    expect(state.pulled).toBeLessThan(50)
    await vi.waitFor(() => expect(state.pulled).toBe(101))
    expect(await readBody(chunked(new Uint8Array(25)).request, 25)).toHaveLength(25)
  })

  it('survives a client that breaks off, before and after the refusal', async () => {
    const broken = (count: number) => {
      let pulled = 0
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (pulled++ < count) controller.enqueue(new Uint8Array(10))
          else controller.error(new Error('gone'))
        },
      })
      return new Request(ORIGIN, { method: 'POST', body, duplex: 'half' })
    }
    await expect(readBody(broken(2), 25)).rejects.toThrow('gone')
    await expect(readBody(broken(5), 25)).rejects.toBeInstanceOf(BodyTooLarge)
  })
})

describe('the listener', () => {
  it('survives a handler that drops a body and answers', async () => {
    const errors: unknown[] = []
    const server = await serveHttp({
      host: '127.0.0.1',
      port: 0,
      onerror: (_, error) => errors.push(error),
      async fetch(request) {
        await request.body?.getReader().cancel()
        return new Response('dropped', { status: 413 })
      },
    })
    const socket = connect(server.address.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toContain(' 413 ')
    // An exception of the listener's is nobody's: vitest reports it as one of the run. The next request shows it is alive.
    expect((await fetch(`http://127.0.0.1:${server.address.port}/`)).status).toBe(413)
    expect(errors).toEqual([])
    socket.destroy()
    await server.close(100)
  })
})
