import { describe, expect, it } from 'vitest'
import { RpcError } from '../../../core/errors.ts'
import { createSubscriber } from '../../../core/upstream/subscriber.ts'

const never = new AbortController().signal

/** What was sent, as `+uri` and `-uri`; `refuse` lists what is answered with an error. */
function make(refuse: readonly string[] = []) {
  const sent: string[] = []
  const open = new Set<string>()
  const watch = createSubscriber(async (method, { uri }) => {
    const change = `${method === 'resources/subscribe' ? '+' : '-'}${uri as string}`
    sent.push(change)
    await new Promise((resolve) => setImmediate(resolve))
    if (refuse.includes(change)) throw new RpcError(-32002, `no ${change}`)
    if (change.startsWith('+')) open.add(change.slice(1))
    else open.delete(change.slice(1))
  })
  return { sent, open, watch: (...uris: string[]) => watch(new Set(uris), never) }
}

describe('a subscriber', () => {
  it('sends only the difference to before', async () => {
    const { sent, watch } = make()
    expect(await watch('a', 'b')).toEqual(new Map())
    expect(sent.splice(0)).toEqual(['+a', '+b'])
    await watch('b', 'a')
    expect(sent).toEqual([])
    await watch('b', 'c')
    expect(sent.splice(0).toSorted()).toEqual(['+c', '-a'])
    await watch()
    expect(sent.splice(0).toSorted()).toEqual(['-b', '-c'])
  })

  it('says which were refused and why, and still has the others', async () => {
    const { open, watch } = make(['+bad'])
    const refused = await watch('a', 'bad', 'b')
    expect([...refused]).toEqual([['bad', expect.objectContaining({ code: -32002, message: 'no +bad' })]])
    expect([...open]).toEqual(['a', 'b'])
  })

  it('asks again for what was refused with the next wish', async () => {
    const refuse = ['+late']
    const { open, sent, watch } = make(refuse)
    await watch('a', 'late')
    refuse.pop()
    sent.splice(0)
    expect(await watch('a', 'late')).toEqual(new Map())
    expect(sent).toEqual(['+late'])
    expect([...open]).toEqual(['a', 'late'])
  })

  it('takes an unsubscription for done, whatever the server says', async () => {
    const { sent, watch } = make(['-a'])
    await watch('a')
    expect(await watch()).toEqual(new Map())
    sent.splice(0)
    await watch('a')
    expect(sent).toEqual(['+a'])
  })

  it('leaves the server with the last of many wishes that overtake each other', async () => {
    const { open, watch } = make()
    await Promise.all([watch('a'), watch('a', 'b'), watch(), watch('c', 'a'), watch('c')])
    expect([...open]).toEqual(['c'])
    await Promise.all([watch('d'), watch()])
    expect([...open]).toEqual([])
  })
})
