import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Call } from '../../../core/gateway/call.ts'
import { notification } from '../../../core/wire/jsonrpc.ts'
import { JSON_HEADERS } from '../../harness.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { ALL, answers, form, never, say, toolsThat, type Work } from '../../fixtures/core/asked.ts'
import { logOf } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

async function open(work: Work, options: Parameters<typeof openFaces>[1] = {}) {
  const faces = await openFaces([toolsThat(work)], options)
  opened.push(faces)
  return faces
}

const failed = (error: { code: number; message: string }) => ({ refused: { code: error.code, message: error.message } })

describe('a call whose server asks', () => {
  it('is answered with the question, and with the outcome once that is answered', async () => {
    const calls: Call[] = []
    const { url } = await open({
      async book(call) {
        calls.push(call)
        return call.ask(form('Which day?'), never())
      },
    })
    const asked = await say(url, 'book')
    expect(asked).toMatchObject({ status: 200, type: 'input_required', notices: [] })
    const [key = '', ...others] = Object.keys(asked.result.inputRequests)
    expect(others).toEqual([])
    expect(asked.result.inputRequests[key]).toEqual(form('Which day?'))
    expect(asked.result._meta['io.modelcontextprotocol/serverInfo'].name).toBe('mcp-proxy-server')
    const done = await say(url, 'book', answers(asked, { action: 'accept', content: { day: 'Monday' } }))
    expect(done).toMatchObject({ type: 'complete', result: { action: 'accept', content: { day: 'Monday' } } })
    // One call, which heard nothing of how it went on.
    expect(calls).toHaveLength(1)
    expect(calls[0]?.params).toEqual({ name: 'book' })
    expect(calls[0]?.signal.aborted).toBe(false)
  })

  it('gets the questions of one moment together', async () => {
    const { url } = await open({
      async book({ ask }) {
        const first = ask(form('one'), never())
        await sleep(2)
        return { answers: await Promise.all([first, ask({ method: 'roots/list' }, never())]) }
      },
    })
    const asked = await say(url, 'book')
    const requests = Object.entries<any>(asked.result.inputRequests)
    expect(requests.map(([, { method }]) => method)).toEqual(['elicitation/create', 'roots/list'])
    const inputResponses = Object.fromEntries(requests.map(([key, { method }]) => [key, { said: method }]))
    const { result } = await say(url, 'book', { inputResponses, requestState: asked.result.requestState })
    expect(result.answers).toEqual([{ said: 'elicitation/create' }, { said: 'roots/list' }])
  })

  it('is asked again, in rounds whose keys and states are never the same', async () => {
    const { url } = await open({
      async book({ ask }) {
        const said = []
        for (const day of ['Mo', 'Tu', 'We']) said.push(await ask(form(day), never()))
        return { said }
      },
    })
    const seen: string[] = []
    let heard = await say(url, 'book')
    for (let round = 1; heard.type === 'input_required'; round++) {
      seen.push(...Object.keys(heard.result.inputRequests), heard.result.requestState)
      heard = await say(url, 'book', answers(heard, { round }))
    }
    expect(heard.result.said).toEqual([{ round: 1 }, { round: 2 }, { round: 3 }])
    expect(new Set(seen).size).toBe(6)
  })

  it.each([
    undefined,
    null,
    7,
    'yes',
    [],
    {},
    { other: { action: 'accept' } },
    { KEY: null },
    { KEY: 'yes' },
    { KEY: [] },
  ])('asks again what %j leaves open', async (responses) => {
    const { url } = await open({ book: ({ ask }) => ask(form('Which day?'), never()) })
    const first = await say(url, 'book')
    const { requestState } = first.result
    const [key = ''] = Object.keys(first.result.inputRequests)
    const inputResponses = JSON.parse(JSON.stringify(responses ?? null).replace('KEY', key))
    const again = await say(url, 'book', { requestState, ...(responses !== undefined && { inputResponses }) })
    expect(again.type).toBe('input_required')
    expect(again.result.inputRequests).toEqual(first.result.inputRequests)
    expect(again.result.requestState).not.toBe(requestState)
    expect(await say(url, 'book', answers(again))).toMatchObject({ type: 'complete' })
  })

  it('takes an answer that is inherited for none', async () => {
    const { url } = await open({ book: ({ ask }) => ask(form('Which day?'), never()) })
    const { requestState } = (await say(url, 'book')).result
    const inputResponses = JSON.parse('{"__proto__":{"question-1":{"action":"accept"}},"constructor":{}}')
    expect((await say(url, 'book', { requestState, inputResponses })).type).toBe('input_required')
  })

  it('keeps what is of the hop between proxy and server to itself', async () => {
    const { url } = await open({
      async book({ ask }) {
        const _meta = { progressToken: 7, vendor: 1 }
        const link = { mode: 'url', url: 'https://x.example', message: 'Pay', elicitationId: 'e1', _meta }
        return ask({ method: 'elicitation/create', params: link }, never())
      },
    })
    const asked = await say(url, 'book')
    expect(Object.values(asked.result.inputRequests)).toEqual([
      {
        method: 'elicitation/create',
        params: { mode: 'url', url: 'https://x.example', message: 'Pay', _meta: { vendor: 1 } },
      },
    ])
    await say(url, 'book', answers(asked))
  })

  it('passes errors on that come after the answer', async () => {
    const { url } = await open({
      async book({ ask }) {
        await ask(form('Sure?'), never())
        throw Object.assign(new Error('No day is left'), { name: 'RpcError', code: -32000, data: { left: 0 } })
      },
    })
    const { status, error } = await say(url, 'book', answers(await say(url, 'book')))
    expect([status, error]).toEqual([200, { code: -32000, message: 'No day is left', data: { left: 0 } }])
  })
})

describe('a client that cannot be asked', () => {
  it.each([
    ['declared nothing', {}, form('x'), -32601],
    ['takes no URLs', { elicitation: { form: {} } }, { ...form('x'), params: { mode: 'url', url: 'u' } }, -32602],
    ['takes no tools', { sampling: {} }, { method: 'sampling/createMessage', params: { tools: [] } }, -32602],
    ['has no roots', { elicitation: {}, sampling: {} }, { method: 'roots/list' }, -32601],
  ])('because it %s: the server hears so at once', async (_what, capabilities, ask, code) => {
    const { url } = await open({ book: (call) => call.ask(ask, never()).catch(failed) })
    expect(await say(url, 'book', { capabilities })).toMatchObject({ type: 'complete', result: { refused: { code } } })
  })

  it('because it completes an argument: that request has no rounds', async () => {
    const source = toolsThat({})
    const faces = await openFaces([
      {
        ...source,
        lists: { ...source.lists, prompts: [{ name: 'p' }] },
        call: async (call) => ({ kind: 'complete', result: await call.ask(form('x'), never()).catch(failed) }),
      },
    ])
    opened.push(faces)
    const more = { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'x', value: '' } }
    const { result } = await say(faces.url, 'p', { method: 'completion/complete', more })
    expect(result.refused).toMatchObject({ code: -32601 })
  })
})

describe('between the rounds', () => {
  it('what the server says is kept and comes ahead of the next answer, as that request asks for it', async () => {
    const { url } = await open({
      async book(call) {
        call.notify(logOf('info', 'before'))
        const answer = call.ask(form('Sure?'), never())
        await sleep(60)
        for (const level of ['debug', 'info', 'error']) call.notify(logOf(level, level))
        call.notify(notification('notifications/progress', { progress: 1, total: 2 }))
        return answer
      },
    })
    const level = (at: string) => ({ 'io.modelcontextprotocol/logLevel': at, progressToken: `token at ${at}` })
    const asked = await say(url, 'book', { meta: level('debug') })
    expect(asked.notices.map(({ params }) => params.data)).toEqual(['before'])
    await sleep(120)
    const { notices, type } = await say(url, 'book', { ...answers(asked), meta: level('error') })
    expect(type).toBe('complete')
    expect(notices.map(({ params }) => params)).toEqual([
      { level: 'error', data: 'error' },
      { progressToken: 'token at error', progress: 1, total: 2 },
    ])
  })

  it('the last 64 notifications are kept', async () => {
    const { url } = await open({
      async book(call) {
        const answer = call.ask(form('Sure?'), never())
        await sleep(60)
        for (let at = 1; at <= 100; at++) call.notify(logOf('info', String(at)))
        return answer
      },
    })
    const meta = { 'io.modelcontextprotocol/logLevel': 'info' }
    const asked = await say(url, 'book', { meta })
    await sleep(120)
    const { notices } = await say(url, 'book', { ...answers(asked), meta })
    expect([notices.length, notices[0].params.data, notices[63].params.data]).toEqual([64, '37', '100'])
  })

  it('a question that the server takes back is asked no more; if it was the only one, the outcome comes', async () => {
    const take = [new AbortController(), new AbortController()]
    const { url } = await open({
      async book({ ask }) {
        const taken = take.map(({ signal }) => ask(form('taken'), signal).catch(failed))
        const { message } = ((await taken[0]) as any).refused
        const kept = await ask(form('kept'), never())
        return { message, kept, other: await taken[1] }
      },
    })
    const first = await say(url, 'book')
    expect(Object.keys(first.result.inputRequests)).toHaveLength(2)
    take[0]?.abort()
    await sleep(30)
    const second = await say(url, 'book', { requestState: first.result.requestState })
    expect(Object.values<any>(second.result.inputRequests).map(({ params }) => params.message)).toEqual([
      'taken',
      'kept',
    ])
    take[1]?.abort()
    const inputResponses = { ...answers(second).inputResponses, ...answers(first).inputResponses }
    const { result } = await say(url, 'book', { inputResponses, requestState: second.result.requestState })
    expect(result.message).toBe('elicitation/create: the server took the question back')
    expect(result).toMatchObject({ kept: { action: 'accept' }, other: { refused: { message: result.message } } })
  })

  it('an outcome waits for the client, whatever it answers', async () => {
    const { url } = await open({
      async book({ ask }) {
        void ask(form('Sure?'), never()).catch(() => {})
        await sleep(40)
        return { done: true }
      },
    })
    const asked = await say(url, 'book')
    expect(asked.type).toBe('input_required')
    await sleep(60)
    expect(await say(url, 'book', { requestState: asked.result.requestState })).toMatchObject({
      type: 'complete',
      result: { done: true },
    })
    // It was told once.
    expect((await say(url, 'book', { requestState: asked.result.requestState })).error.code).toBe(-32602)
  })

  it('a question of a call that has ended is refused', async () => {
    let late: Promise<unknown> | undefined
    const { url } = await open({
      async book(call) {
        const open = call.ask(form('open'), never()).catch(failed)
        late = open.then(async (open) => ({ open, late: await call.ask(form('late'), never()).catch(failed) }))
        return {}
      },
    })
    expect(await say(url, 'book')).toMatchObject({ type: 'complete' })
    const message = 'elicitation/create: the call has ended'
    expect(await late).toMatchObject({ open: { refused: { message } }, late: { refused: { message } } })
  })

  it('a question taken back before it was asked parks nothing', async () => {
    const { url } = await open({
      async book({ ask }) {
        const stop = new AbortController()
        const taken = ask(form('x'), stop.signal).catch(failed)
        stop.abort()
        const gone = await ask(form('y'), stop.signal).catch(failed)
        await sleep(40)
        return { taken: await taken, gone }
      },
    })
    const { type, result } = await say(url, 'book')
    expect(type).toBe('complete')
    expect([result.taken, result.gone]).toEqual(
      Array.from({ length: 2 }, () => ({ refused: expect.objectContaining({ code: -32603 }) })),
    )
  })
})

describe('a call whose first question was taken back', () => {
  it('can ask another one', async () => {
    const { url } = await open({
      async book({ ask }) {
        const stop = new AbortController()
        const taken = ask(form('x'), stop.signal).catch(failed)
        stop.abort()
        await taken
        await sleep(40)
        return ask(form('y'), never())
      },
    })
    const asked = await say(url, 'book')
    expect(Object.values<any>(asked.result.inputRequests).map(({ params }) => params.message)).toEqual(['y'])
    expect(await say(url, 'book', answers(asked))).toMatchObject({ type: 'complete' })
  })
})

describe('a client that leaves', () => {
  it('in a later round cancels the call', async () => {
    let call: Call | undefined
    const refused: unknown[] = []
    const { url } = await open({
      async book(given) {
        call = given
        await given.ask(form('one'), never())
        given.notify(logOf('info', 'on it'))
        await new Promise((resolve) => given.signal.addEventListener('abort', resolve, { once: true }))
        await given.ask(form('two'), never()).catch((error) => refused.push(error.message))
        return {}
      },
    })
    const asked = await say(url, 'book')
    const abort = new AbortController()
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': ALL,
      'io.modelcontextprotocol/logLevel': 'info',
    }
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        ...JSON_HEADERS,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'book',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'book', ...answers(asked), _meta },
      }),
      signal: abort.signal,
    })
    await response.body?.getReader().read()
    expect(call?.signal.aborted).toBe(false)
    abort.abort()
    await vi.waitFor(() => expect(refused).toEqual(['elicitation/create: the call has ended']))
    expect(call?.signal.aborted).toBe(true)
  })
})
