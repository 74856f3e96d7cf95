import { afterEach, describe, expect, it, vi } from 'vitest'
import { openChannel, openStandingChannel } from '../../../core/downstream/channel.ts'
import { notification } from '../../../core/wire/jsonrpc.ts'

const note = (text = '') => notification('note', { text })
const MIB = 1024 * 1024

afterEach(() => void vi.useRealTimers())

describe('an event stream', () => {
  it('carries messages in order and ends in order', async () => {
    let closed = 0
    const channel = openChannel(() => closed++)
    expect(channel.send(note('one'))).toBe(true)
    expect(channel.send(note('two\nlines\u2028'))).toBe(true)
    channel.close()
    channel.close()
    expect(channel.send(note('late'))).toBe(false)
    expect(closed).toBe(1)
    const events = (await new Response(channel.body).text()).split('\n\n').filter(Boolean)
    expect(events.map((event) => JSON.parse(event.replace(/^event: message\ndata: /, '')).params.text)).toEqual([
      'one',
      'two\nlines\u2028',
    ])
  })

  it('that may stay silent begins with a comment, so that headers are sent', async () => {
    const channel = openStandingChannel(() => {})
    const { value } = await channel.body.getReader().read()
    expect(new TextDecoder().decode(value)).toBe(': open\n\n')
    channel.close()
  })

  it('is told of a reader that leaves, once', async () => {
    let closed = 0
    const channel = openChannel(() => closed++)
    await channel.body.cancel()
    channel.close()
    expect([closed, channel.send(note())]).toEqual([1, false])
  })

  it('is cut for a reader that does not read, after the backlog; nothing is kept then', async () => {
    let closed = 0
    const channel = openChannel(() => closed++)
    const text = 'x'.repeat(MIB)
    let sent = 0
    while (channel.send(note(text))) expect(++sent).toBeLessThan(20)
    // 8 MiB may wait; the message that crosses the line is the last one taken.
    expect(sent).toBe(8)
    expect(closed).toBe(1)
    await expect(channel.body.getReader().read()).rejects.toThrow('the client reads too slowly')
    expect(channel.send(note())).toBe(false)
  })

  it('takes one message of any size, and a reader that keeps up any number', async () => {
    const channel = openChannel(() => {})
    expect(channel.send(note('x'.repeat(20 * MIB)))).toBe(true)
    const reader = channel.body.getReader()
    expect((await reader.read()).value?.byteLength).toBeGreaterThan(20 * MIB)
    for (let count = 0; count < 40; count++) {
      expect(channel.send(note('x'.repeat(MIB)))).toBe(true)
      await reader.read()
    }
    channel.close()
  })

  it('is kept alive by comments while it is open', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const channel = openChannel(() => {})
    vi.advanceTimersByTime(31_000)
    channel.close()
    expect(vi.getTimerCount()).toBe(0)
    expect(await new Response(channel.body).text()).toBe(': keep-alive\n\n'.repeat(2))
  })
})
