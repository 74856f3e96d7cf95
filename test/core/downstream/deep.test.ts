import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openChannel } from '../../../core/downstream/channel.ts'
import { EventLog } from '../../../core/downstream/event-log.ts'
import { createListeners } from '../../../core/downstream/listen.ts'
import { Reply } from '../../../core/downstream/reply.ts'
import { RpcError } from '../../../core/errors.ts'
import type { Call } from '../../../core/gateway/call.ts'
import type { GatewayEvent } from '../../../core/gateway/gateway.ts'
import { createStandingStreams } from '../../../core/standing-streams.ts'
import { failure, notification, success, type JsonObject } from '../../../core/wire/jsonrpc.ts'
import { ALL, answers, form, never, say, toolsThat, type Work } from '../../fixtures/core/asked.ts'
import { messageReader, openAsked, openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { peerOf } from '../../fixtures/core/source.ts'

/** Can be read, but not written: `JSON.stringify` throws. */
const deep: JsonObject = JSON.parse('{"a":'.repeat(50_000) + '1' + '}'.repeat(50_000))
const deepLog = notification('notifications/message', { level: 'error', data: deep })
const UNSENT = { code: -32603, message: expect.stringMatching('cannot be sent') }
const failed = (error: Error) => ({ refused: error.message })

const opened: Faces[] = []
const escaped: unknown[] = []
const onescape = (error: unknown): void => void escaped.push(error)
beforeEach(() => void process.on('unhandledRejection', onescape).on('uncaughtException', onescape))
afterEach(async () => {
  await Promise.all(opened.splice(0).map((faces) => faces.close()))
  process.off('unhandledRejection', onescape).off('uncaughtException', onescape)
  const [first] = escaped.splice(0)
  if (first !== undefined) throw first
})

async function open(work: Work) {
  const faces = await openFaces([toolsThat(work)])
  opened.push(faces)
  return faces
}

const work: Work = {
  result: async () => ({ content: [], structuredContent: deep }),
  async error() {
    throw new RpcError(-32601, 'no', deep)
  },
  async logs(call) {
    call.notify(deepLog)
    return { content: [] }
  },
  ask: (call) => call.ask(form('Sure?', { params: { message: 'x', requestedSchema: deep } }), never()).catch(failed),
}

describe('what nests too deep to be sent', () => {
  it.each(['result', 'error'])('is an error in the place of the %s, in either era', async (name) => {
    const { url } = await open(work)
    expect(await say(url, name)).toMatchObject({ status: 200, error: UNSENT })
    expect(await say(url, name, { headers: { accept: 'application/json' } })).toMatchObject({ error: UNSENT })
    const wire = await openAsked(url)
    expect((await wire.request('tools/call', { name })).error).toMatchObject(UNSENT)
  })

  it('is not asked, in either era', async () => {
    const { url } = await open(work)
    expect((await say(url, 'ask')).result.refused).toMatch('elicitation/create: ')
    const wire = await openAsked(url, { elicitation: {} })
    expect((await wire.request('tools/call', { name: 'ask' })).result.refused).toMatch('elicitation/create: ')
  })

  it('is left out of what is said ahead of the answer, in either era', async () => {
    const { url } = await open(work)
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' }
    expect(await say(url, 'logs', { meta })).toMatchObject({ type: 'complete', notices: [] })
    const wire = await openAsked(url)
    expect((await wire.request('tools/call', { name: 'logs' })).result).toEqual({ content: [] })
  })

  it('is not kept for a client that is away', async () => {
    const { url } = await open({
      async parks(call) {
        const answer = call.ask(form('Sure?'), never())
        await sleep(50)
        call.notify(deepLog)
        return answer
      },
      async ends(call) {
        void call.ask(form('Sure?'), never()).catch(() => {})
        await sleep(50)
        return { content: [], structuredContent: deep }
      },
    })
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' }
    const retry = async (name: string) => {
      const asked = await say(url, name, { meta })
      await sleep(100)
      return say(url, name, { ...answers(asked), meta })
    }
    expect(await retry('parks')).toMatchObject({ type: 'complete', notices: [] })
    expect(await retry('ends')).toMatchObject({ error: UNSENT, notices: [] })
  })

  it('is left out of a listen stream', async () => {
    let say: (event: GatewayEvent) => void = () => {}
    const subscribe = (_: unknown, on: typeof say) => {
      say = on
      return { set: async () => new Map(), close: () => {} }
    }
    const listeners = createListeners(
      { subscribe },
      createStandingStreams(async () => true),
    )
    const message = {
      jsonrpc: '2.0' as const,
      id: 1,
      method: 'subscriptions/listen',
      params: { notifications: { toolsListChanged: true }, _meta: {} },
    }
    const request = new Request('http://x/', { method: 'POST' })
    const read = messageReader(await listeners.listen(request, message, peerOf('p'), () => {}))
    expect((await read()).method).toBe('notifications/subscriptions/acknowledged')
    say({ kind: 'resource', uri: deep as never })
    say({ kind: 'tools' })
    expect((await read()).method).toBe('notifications/tools/list_changed')
    listeners.close()
  })

  it('counts as no event', () => {
    const log = new EventLog('t.p1', { resized() {}, finished() {}, reopened() {}, dropped() {} })
    const channel = openChannel(() => {})
    log.attach(channel)
    expect([log.send(deepLog), log.last, log.send(notification('x')), log.last]).toEqual([false, 0, true, 1])
    expect(channel.send(deepLog)).toBe(false)
    channel.close()
  })

  it('takes nothing else in a batch with it', async () => {
    const reply = new Reply({ expected: 2, batch: true, streams: true, status: () => 200, ondisconnect: () => {} })
    reply.end(success(1, deep))
    expect(reply.send(deepLog)).toBe(false)
    reply.end(failure(2, { code: 1, message: 'm', data: deep }))
    const text = await (await reply.response).text()
    for (const id of [1, 2]) expect(text).toContain(`"id":${id},"error":{"code":-32603`)
  })

  it('does not keep a call: the retry ends it', async () => {
    let call: Call | undefined
    const { url } = await open({
      async t(given) {
        call = given
        return given.ask(form('Sure?'), never())
      },
    })
    const asked = await say(url, 't', { capabilities: ALL })
    call?.notify(deepLog)
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' }
    expect(await say(url, 't', { ...answers(asked), meta })).toMatchObject({ type: 'complete', notices: [] })
  })
})
