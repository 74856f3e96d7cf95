import { afterEach, describe, expect, it, vi } from 'vitest'
import { Reply, takesStreams, type ReplyOptions } from '../../../core/downstream/reply.ts'
import { failure, notification, success } from '../../../core/wire/jsonrpc.ts'
import { messagesOf } from '../../harness.ts'

const open = (options: Partial<ReplyOptions> = {}) =>
  new Reply({ expected: 1, batch: false, streams: true, status: () => 200, ondisconnect: () => {}, ...options })
const note = notification('note', {})

afterEach(() => void vi.useRealTimers())

describe('a reply', () => {
  it('is plain JSON with the status of its content while nothing else was said', async () => {
    const reply = open({ status: () => 404 })
    reply.end(failure(1, { code: -32601, message: 'no' }))
    const response = await reply.response
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/json'])
    expect(await response.json()).toMatchObject({ id: 1, error: { code: -32601 } })
  })

  it('is a stream from the first notification on, and ends with the response', async () => {
    const reply = open()
    reply.send(note)
    const response = await reply.response
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    reply.end(success(1, {}))
    reply.send(note)
    expect(await messagesOf(response)).toEqual([note, success(1, {})])
  })

  it('leaves notifications out for a client that takes no streams', async () => {
    const reply = open({ streams: false })
    reply.send(note)
    reply.end(success(1, {}))
    expect(await (await reply.response).json()).toEqual(success(1, {}))
  })

  it('waits for every response of a batch, on either way', async () => {
    const json = open({ expected: 2, batch: true })
    json.end(success(1, {}))
    json.end(success(2, {}))
    expect(await (await json.response).json()).toEqual([success(1, {}), success(2, {})])
    const stream = open({ expected: 2, batch: true })
    stream.end(success(1, {}))
    stream.send(note)
    stream.end(success(2, {}))
    expect(await messagesOf(await stream.response)).toEqual([success(1, {}), note, success(2, {})])
  })

  it('becomes a stream after 5 s without a word, so that it can be kept alive', async () => {
    vi.useFakeTimers()
    const reply = open()
    await vi.advanceTimersByTimeAsync(5000)
    const response = await reply.response
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    reply.end(success(1, {}))
    expect(vi.getTimerCount()).toBe(0)
  })

  it('tells of a client that leaves before the end, not after', async () => {
    let left = 0
    const early = open({ ondisconnect: () => left++ })
    early.send(note)
    await (await early.response).body?.cancel()
    expect(left).toBe(1)
    early.end(success(1, {}))
    const late = open({ ondisconnect: () => left++ })
    late.send(note)
    late.end(success(1, {}))
    await (await late.response).body?.cancel()
    expect(left).toBe(1)
  })
})

describe('takesStreams', () => {
  it.each([
    [null, true],
    ['text/event-stream', true],
    ['application/json, text/event-stream', true],
    ['*/*', true],
    ['text/*', true],
    ['application/json', false],
    ['', false],
  ])('Accept %j: %s', (accept, expected) => {
    expect(takesStreams(new Headers(accept === null ? {} : { accept }))).toBe(expected)
  })
})
