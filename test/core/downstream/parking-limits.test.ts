import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { modernDownstream } from '../../../core/downstream/modern.ts'
import type { DownstreamFace } from '../../../core/downstream/face.ts'
import { Parked } from '../../../core/downstream/parked.ts'
import { Parking } from '../../../core/downstream/parking.ts'
import type { Call } from '../../../core/gateway/call.ts'
import { createGateway } from '../../../core/gateway/gateway.ts'
import { Names } from '../../../core/gateway/names.ts'
import { createKeys } from '../../../core/keys.ts'
import { createStandingStreams } from '../../../core/standing-streams.ts'
import { notification, type RpcNotification } from '../../../core/wire/jsonrpc.ts'
import { captureLog, messagesOf } from '../../harness.ts'
import { ALL, form, never, toolsThat, type Work } from '../../fixtures/core/asked.ts'
import { SETTLED } from '../../fixtures/core/source.ts'

const LIMIT = 5 * 60_000

/** A face without a wire, on a clock that goes when it is told to. */
function openFace(work: Work, oneParty = true) {
  const released: string[] = []
  const source = toolsThat(work, { release: (party) => void released.push(party) })
  const names = { tools: new Names(64), prompts: new Names(64) }
  const { logger } = captureLog()
  const gateway = createGateway({
    sources: { all: [source], ...SETTLED },
    names,
    middleware: [],
    logger,
    firstListWait: 1,
  })
  const standing = createStandingStreams(async () => true)
  const face = modernDownstream({ gateway, keys: createKeys(['k'.repeat(32)]), standing, oneParty, logger })
  faces.push(face)
  return { face, released, post: poster(face) }
}

const faces: DownstreamFace[] = []
const anna: Principal = { id: 'anna', roles: [] }
const failed = (error: Error) => ({ refused: error.message })

function poster(face: DownstreamFace) {
  let id = 0
  const all = (
    name: string,
    said: { readonly _meta?: object; readonly [key: string]: unknown } = {},
    principal = anna,
    request = requestOf(name),
    capabilities: object = ALL,
  ): Promise<any[]> => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': capabilities,
      ...said._meta,
    }
    const body = { jsonrpc: '2.0', id: ++id, method: 'tools/call', params: { name, ...said, _meta } }
    return face.handle(request, body, principal).then(messagesOf)
  }
  const last = async (...said: Parameters<typeof all>): Promise<any> => (await all(...said)).at(-1)
  return Object.assign(last, { all })
}

function requestOf(name: string, signal: AbortSignal = never()): Request {
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name }
  return new Request('http://x/mcp', { method: 'POST', headers, signal })
}

beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] }),
)
afterEach(async () => {
  await Promise.all(faces.splice(0).map((face) => face.close()))
  const left = vi.getTimerCount()
  vi.useRealTimers()
  if (left > 0) throw new Error(`${left} timers are left`)
})

describe('a parked call nobody comes back to', () => {
  it('is given up after its limit: the server is told, its question refused', async () => {
    let call: Call | undefined
    let refused: unknown
    const { post, released } = openFace(
      {
        async pay(given) {
          call = given
          refused = await given.ask(form('Sure?'), never()).catch(failed)
          return {}
        },
      },
      false,
    )
    const asked = post('pay')
    await vi.advanceTimersByTimeAsync(15)
    const { result } = await asked
    expect(result.resultType).toBe('input_required')
    await vi.advanceTimersByTimeAsync(LIMIT - 1)
    expect([call?.signal.aborted, refused, released]).toEqual([false, undefined, []])
    await vi.advanceTimersByTimeAsync(1)
    expect([call?.signal.aborted, refused]).toEqual([true, { refused: 'elicitation/create: no answer in time' }])
    expect(released).toEqual([call?.party])
    expect((await post('pay', { requestState: result.requestState })).error.code).toBe(-32602)
  })

  it('has the whole limit again in each round', async () => {
    const { post } = openFace({ pay: (call) => call.ask(form('Sure?'), never()) })
    const first = post('pay')
    await vi.advanceTimersByTimeAsync(15)
    let { result } = await first
    for (let round = 0; round < 3; round++) {
      await vi.advanceTimersByTimeAsync(LIMIT - 1000)
      const next = post('pay', { requestState: result.requestState })
      await vi.advanceTimersByTimeAsync(15)
      result = (await next).result
      expect(result.resultType).toBe('input_required')
    }
  })

  it('does not keep its outcome for longer', async () => {
    let finish = (): void => {}
    const { post } = openFace({
      async pay({ ask }) {
        void ask(form('Sure?'), never()).catch(() => {})
        await new Promise<void>((resolve) => (finish = resolve))
        return { done: true }
      },
    })
    const asked = post('pay')
    await vi.advanceTimersByTimeAsync(15)
    const { requestState } = (await asked).result
    finish()
    await vi.advanceTimersByTimeAsync(LIMIT)
    expect((await post('pay', { requestState })).error.code).toBe(-32602)
  })
})

describe('the number of parked calls', () => {
  it('is limited for each principal; a place is free again once a call goes on', async () => {
    const ends: (() => void)[] = []
    const { post } = openFace({
      async pay({ ask }) {
        const answer = await ask(form('Sure?'), never()).catch(failed)
        if (!('refused' in answer)) await new Promise<void>((resolve) => ends.push(resolve))
        return answer
      },
    })
    const parked = Array.from({ length: 64 }, () => post('pay'))
    await vi.advanceTimersByTimeAsync(15)
    const states = (await Promise.all(parked)).map(({ result }) => result)
    expect(states.every(({ resultType }) => resultType === 'input_required')).toBe(true)
    const refused = 'elicitation/create: too many calls wait for answers; try again later'
    expect((await post('pay')).result.refused).toBe(refused)
    const other = post('pay', {}, { id: 'bert', roles: [] })
    await vi.advanceTimersByTimeAsync(15)
    expect((await other).result.resultType).toBe('input_required')
    const [key = ''] = Object.keys(states[0].inputRequests)
    const going = post('pay', { requestState: states[0].requestState, inputResponses: { [key]: {} } })
    await vi.advanceTimersByTimeAsync(0)
    const next = post('pay')
    await vi.advanceTimersByTimeAsync(15)
    expect((await next).result.resultType).toBe('input_required')
    for (const end of ends) end()
    expect((await going).result.resultType).toBe('complete')
  })

  it('is limited in all', () => {
    const parking = new Parking()
    const entry = (at: number) => ({ handle: `h${at}`, principal: `someone ${at % 100}`, kept: 0, drop() {} })
    for (let at = 0; at < 1000; at++) expect(parking.enter(entry(at))).toBe(true)
    expect([parking.enter(entry(1000)), parking.enter(entry(7)), parking.size]).toEqual([false, true, 1000])
    parking.leave(entry(7))
    parking.leave(entry(7))
    expect([parking.enter(entry(1000)), parking.enter(entry(1001))]).toEqual([true, false])
  })

  it('of questions in one call is limited', async () => {
    const { post } = openFace({
      async pay({ ask }) {
        const all = Array.from({ length: 65 }, () => ask(form('Sure?'), never()).catch(failed))
        return (await all[64]) ?? {}
      },
    })
    expect((await post('pay')).result.refused).toMatch('this call already has 64 questions open')
  })
})

describe('what is kept for a client that is away', () => {
  const MIB = 1 << 20
  const log = (data: string): RpcNotification => notification('notifications/message', { level: 'info', data })
  const meta = { 'io.modelcontextprotocol/logLevel': 'info' }

  /** A tool that asks, and the call of it. */
  function openParked() {
    const calls: Call[] = []
    const refused: unknown[] = []
    const ends: ((result: object) => void)[] = []
    const { post } = openFace({
      async pay(call) {
        calls.push(call)
        void call.ask(form('Sure?'), never()).catch((error: Error) => refused.push(error.message))
        return new Promise<object>((resolve) => ends.push(resolve))
      },
    })
    const park = async (_meta: object = {}) => {
      const asked = post('pay', { _meta })
      await vi.advanceTimersByTimeAsync(15)
      return (await asked).result.requestState as string
    }
    return { post, park, calls, refused, ends }
  }

  it('is 1 MiB of notifications at most, the last ones', () => {
    let sum = 0
    const told: unknown[] = []
    const parked = new Parked((bytes) => void (sum += bytes))
    const turn = { takes: () => true, notify: (message: RpcNotification) => told.push(message.params?.data) }
    for (let at = 0; at < 30; at++) {
      parked.keep(log(`${at} ${'x'.repeat(MIB / 10)}`))
      expect(sum).toBeLessThanOrEqual(MIB)
    }
    parked.keep(log('x'.repeat(2 * MIB)))
    parked.tell(turn as never)
    expect(told.map((data) => Number.parseInt(String(data), 10))).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29])
    expect([sum, parked.bytes]).toEqual([0, 0])
  })

  it('is nothing that the last request has not asked for', async () => {
    const { post, park, calls, ends } = openParked()
    const plain = await park()
    calls[0]?.notify(log('not asked for'))
    ends[0]?.({})
    await vi.advanceTimersByTimeAsync(0)
    const messages = await post.all('pay', { requestState: plain, _meta: meta })
    expect(messages).toHaveLength(1)
  })

  it('is 64 MiB of all calls: the oldest goes, and both sides are told', async () => {
    const { post, park, refused, ends, calls } = openParked()
    const text = 'x'.repeat(15 * MIB)
    const states = []
    for (let at = 0; at < 5; at++) {
      states.push(await park())
      ends[at]?.({ text })
      await vi.advanceTimersByTimeAsync(0)
    }
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false, false, false, false])
    expect(refused).toHaveLength(5)
    const [lost, ...kept] = await Promise.all(states.map((requestState) => post('pay', { requestState })))
    expect(lost.error).toMatchObject({ code: -32603, message: expect.stringMatching(/too much .* call again/) })
    for (const { result } of kept) expect(result.text).toHaveLength(text.length)
    // What was fetched makes room.
    const next = await park()
    ends[5]?.({ text })
    await vi.advanceTimersByTimeAsync(0)
    expect((await post('pay', { requestState: next })).result.text).toHaveLength(text.length)
  })
})

describe('a question that may be about any of several calls', () => {
  /** A tool that asks, and ends when it is told to; and one that only waits. */
  function openTwo(oneParty?: boolean) {
    const ends = new Map<string, (() => void)[]>()
    const heard: unknown[] = []
    /** What a server knows: the calls that it has open. */
    const open: string[] = []
    const wait = (name: string) =>
      new Promise<void>((resolve) => void ends.set(name, [...(ends.get(name) ?? []), resolve]))
    const { post, face } = openFace(
      {
        async asks(call) {
          void call
            .ask(form('Whose?', { unbound: [...open, call.requestId] }), never())
            .catch(failed)
            .then((said) => heard.push(said))
          await wait('asks')
          return {}
        },
        async waits(call) {
          open.push(call.requestId)
          await wait('waits')
          return {}
        },
        async elsewhere() {
          await wait('elsewhere')
          return {}
        },
        async parks(call) {
          open.push(call.requestId)
          return { said: await call.ask(form('Mine'), never()) }
        },
      },
      oneParty,
    )
    return {
      post,
      face,
      heard,
      async end(name: string) {
        await vi.advanceTimersByTimeAsync(0)
        for (const end of ends.get(name) ?? []) end()
        await vi.advanceTimersByTimeAsync(0)
      },
    }
  }

  it('goes on with another open call when the one that carries it ends', async () => {
    const { post, heard, end } = openTwo()
    const [waits, asks] = [post('waits'), post('asks')]
    await end('asks')
    expect((await asks).result.resultType).toBe('complete')
    await vi.advanceTimersByTimeAsync(15)
    const { result } = await waits
    const [[key, request] = ['']] = Object.entries<any>(result.inputRequests)
    expect(request).toEqual(form('Whose?'))
    const going = post('waits', { requestState: result.requestState, inputResponses: { [key]: { action: 'accept' } } })
    await end('waits')
    expect([heard, (await going).result.resultType]).toEqual([[{ action: 'accept' }], 'complete'])
  })

  it('goes on with a parked call, and is asked in its next round', async () => {
    const { post, heard, end } = openTwo()
    const parks = post('parks')
    await vi.advanceTimersByTimeAsync(15)
    const { result: first } = await parks
    const asks = post('asks')
    await end('asks')
    await asks
    const [mine = ''] = Object.keys(first.inputRequests)
    const next = post('parks', { requestState: first.requestState })
    await vi.advanceTimersByTimeAsync(15)
    const { result: second } = await next
    expect(Object.values<any>(second.inputRequests).map(({ params }) => params.message)).toEqual(['Mine', 'Whose?'])
    const [, whose = ''] = Object.keys(second.inputRequests)
    const inputResponses = { [mine]: { its: 1 }, [whose]: { its: 2 } }
    const { result: third } = await post('parks', { requestState: second.requestState, inputResponses })
    expect([third.said, heard]).toEqual([{ its: 1 }, [{ its: 2 }]])
  })

  it('is refused when there is no other call, or none that can be asked', async () => {
    const { post, heard, end } = openTwo()
    const asks = post('asks')
    await end('asks')
    await asks
    const mute = post('waits', {}, anna, requestOf('waits'), {})
    const foreign = post('waits', {}, { id: 'bert', roles: [] })
    const again = post('asks')
    await end('asks')
    await again
    expect(heard).toEqual(Array.from({ length: 2 }, () => ({ refused: 'elicitation/create: the call has ended' })))
    await end('waits')
    for (const { result } of [await mute, await foreign]) expect(result.resultType).toBe('complete')
  })

  it('is never put to a call of another server', async () => {
    const { post, heard, end } = openTwo()
    const [elsewhere, asks] = [post('elsewhere'), post('asks')]
    await end('asks')
    await asks
    expect(heard).toEqual([{ refused: 'elicitation/create: the call has ended' }])
    await end('elsewhere')
    expect((await elsewhere).result.resultType).toBe('complete')
  })

  it('stays within its party, also where every request is one', async () => {
    const { post, heard, end } = openTwo(false)
    const [waits, asks] = [post('waits'), post('asks')]
    await end('asks')
    await asks
    expect(heard).toEqual([{ refused: 'elicitation/create: the call has ended' }])
    await end('waits')
    expect((await waits).result.resultType).toBe('complete')
  })

  it('is put to another call at once where the one it came with cannot be asked', async () => {
    const { post, heard, end } = openTwo()
    const waits = post('waits')
    const asks = post('asks', {}, anna, requestOf('asks'), {})
    await vi.advanceTimersByTimeAsync(15)
    expect((await waits).result.resultType).toBe('input_required')
    await end('asks')
    expect([(await asks).result.resultType, heard]).toEqual(['complete', []])
  })
})

describe('nothing is left', () => {
  it('of a call that ended, on the signals it listened to', async () => {
    const asked = new AbortController()
    const { post } = openFace({ pay: (call) => call.ask(form('Sure?'), asked.signal) })
    const requests = [new AbortController(), new AbortController()].map(({ signal }) => requestOf('pay', signal))
    const listeners = () =>
      [...requests.map(({ signal }) => signal), asked.signal].map((signal) => getEventListeners(signal, 'abort').length)
    const base = listeners()
    const first = post('pay', {}, anna, requests[0])
    await vi.advanceTimersByTimeAsync(0)
    expect(listeners()).not.toEqual(base)
    await vi.advanceTimersByTimeAsync(15)
    const { result } = await first
    const [key = ''] = Object.keys(result.inputRequests)
    const said = { requestState: result.requestState, inputResponses: { [key]: {} } }
    expect((await post('pay', said, anna, requests[1])).result.resultType).toBe('complete')
    expect(listeners()).toEqual(base)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('when the proxy closes: parked calls, gathering ones and those under way end at once', async () => {
    const calls: Call[] = []
    const refused: unknown[] = []
    const { face, post } = openFace({
      async pay(call) {
        calls.push(call)
        const ask = form('Sure?', call.params.free ? { unbound: [call.requestId] } : {})
        await call.ask(ask, never()).catch((error: Error) => {
          refused.push(error.message)
          throw error
        })
        return {}
      },
    })
    const parked = post('pay', { free: true })
    await vi.advanceTimersByTimeAsync(15)
    const { requestState } = (await parked).result
    const gathering = post('pay')
    await vi.advanceTimersByTimeAsync(1)
    await face.close()
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true])
    expect((await gathering).error.message).toBe('Request cancelled')
    expect(vi.getTimerCount()).toBe(0)
    expect(refused).toEqual(Array(2).fill('elicitation/create: the proxy is closing'))
    expect((await post('pay', { requestState })).error.code).toBe(-32602)
  })

  it('when a client has left before it is answered', async () => {
    const { post } = openFace({ pay: (call) => call.ask(form('Sure?'), never()) })
    const asked = post('pay')
    await vi.advanceTimersByTimeAsync(15)
    const { requestState } = (await asked).result
    const gone = new AbortController()
    gone.abort()
    expect((await post('pay', { requestState }, anna, requestOf('pay', gone.signal))).error.message).toBe(
      'Request cancelled',
    )
    expect((await post('pay', {}, anna, requestOf('pay', gone.signal))).error.message).toBe('Request cancelled')
    expect(vi.getTimerCount()).toBe(0)
  })
})
