import { describe, expect, it } from 'vitest'
import { ConnectionError, RpcError } from '../../../core/errors.ts'
import { complete, type Call } from '../../../core/gateway/call.ts'
import { EMPTY_LISTS, type Lists } from '../../../core/gateway/source.ts'
import { LIST_KINDS, PAGE_CAP, readLists } from '../../../core/upstream/lists.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'
import { fakeInstance } from '../../fixtures/core/instance.ts'

/** Reads all lists from a server that answers like this. */
async function read(
  answer: (call: Call) => JsonObject,
  capabilities: JsonObject = { tools: {}, resources: {}, prompts: {} },
  known: Partial<Lists> = {},
) {
  const warnings: string[] = []
  const asked: string[] = []
  const { face, about } = fakeInstance({
    about: { capabilities },
    async call(call) {
      asked.push(call.method)
      return complete(answer(call))
    },
  })
  const signal = new AbortController().signal
  const lists = await readLists(
    { face, about, signal, known: { ...EMPTY_LISTS, ...known }, warn: (text) => warnings.push(text) },
    LIST_KINDS,
  )
  return { lists, warnings, asked }
}

const EMPTY: Record<string, JsonObject> = {
  'tools/list': { tools: [] },
  'prompts/list': { prompts: [] },
  'resources/list': { resources: [] },
  'resources/templates/list': { resourceTemplates: [] },
}
const onlyTools = (tools: (call: Call) => JsonObject) => (call: Call) =>
  call.method === 'tools/list' ? tools(call) : EMPTY[call.method]!

describe('reading lists', () => {
  it('asks only for what the server says it has', async () => {
    expect((await read((call) => EMPTY[call.method]!, { tools: {} })).asked).toEqual(['tools/list'])
    expect((await read((call) => EMPTY[call.method]!, {})).asked).toEqual([])
  })

  it('reads page after page, whatever the cursors look like', async () => {
    const cursors: unknown[] = []
    const { lists, warnings } = await read(
      onlyTools(({ params }) => {
        cursors.push(params.cursor)
        return { tools: [{ name: `t${cursors.length}` }], ...(cursors.length < 3 && { nextCursor: '' }) }
      }),
    )
    expect(lists.tools).toEqual([{ name: 't1' }, { name: 't2' }, { name: 't3' }])
    expect(cursors).toEqual([undefined, '', ''])
    expect(warnings).toEqual([])
  })

  it('stops at the cap and says so', async () => {
    let page = 0
    const { lists, warnings } = await read(onlyTools(() => ({ tools: [{ name: `t${page++}` }], nextCursor: 'more' })))
    expect(lists.tools).toHaveLength(PAGE_CAP)
    expect(page).toBe(PAGE_CAP)
    expect(warnings).toEqual(['tools/list: more than 64 pages, the rest is left out'])
  })

  it('leaves out what has no name and what comes twice', async () => {
    const tools = [
      { name: 'a', v: 1 },
      { name: 'a', v: 2 },
      null,
      7,
      'text',
      [],
      {},
      { name: '' },
      { name: 7 },
      { name: 'b' },
    ]
    const { lists, warnings } = await read(onlyTools(() => ({ tools })))
    expect(lists.tools).toEqual([{ name: 'a', v: 1 }, { name: 'b' }])
    expect(warnings).toContain('tools/list: "a" is listed twice, the first one counts')
    expect(warnings).toContain('tools/list: an entry without "name" is left out')
  })

  it.each([[{}], [{ tools: {} }], [{ tools: null }], [{ tools: 'text' }]])(
    'takes %j for an empty list',
    async (result) => {
      const { lists, warnings } = await read(onlyTools(() => result))
      expect(lists.tools).toEqual([])
      expect(warnings).toEqual(['tools/list failed: the answer has no "tools" list'])
    },
  )

  it('goes on with the others when one fails, and keeps the pages read by then', async () => {
    const { lists, warnings } = await read((call) => {
      if (call.method === 'prompts/list') throw new RpcError(-32603, 'broken')
      if (call.params.cursor !== undefined) throw new RpcError(-32603, 'broken later')
      return call.method === 'tools/list' ? { tools: [{ name: 'a' }], nextCursor: '1' } : EMPTY[call.method]!
    })
    expect(lists).toMatchObject({ tools: [{ name: 'a' }], prompts: [], resources: [] })
    expect(warnings.toSorted()).toEqual(['prompts/list failed: broken', 'tools/list failed: broken later'])
  })

  it('says nothing of a server that knows no templates, but of one that knows no tools', async () => {
    const { warnings } = await read((call) => {
      if (call.method === 'resources/templates/list' || call.method === 'tools/list') {
        throw new RpcError(-32601, 'Method not found')
      }
      return EMPTY[call.method]!
    })
    expect(warnings).toEqual(['tools/list failed: Method not found'])
  })

  it('keeps what was known of a list that fails, but not of one that the server knows no more', async () => {
    const known = { tools: [{ name: 'a' }, { name: 'b' }], prompts: [{ name: 'p' }] }
    const { lists } = await read(
      (call) => {
        if (call.method === 'prompts/list') throw new RpcError(-32601, 'Method not found')
        if (call.params.cursor !== undefined) throw new RpcError(-32603, 'broken later')
        return call.method === 'tools/list' ? { tools: [{ name: 'a' }], nextCursor: '1' } : EMPTY[call.method]!
      },
      undefined,
      known,
    )
    expect(lists).toMatchObject({ tools: known.tools, prompts: [] })
  })

  it('forgets what was known of a list that is empty now, or that the server has no more', async () => {
    const known = { tools: [{ name: 'a' }], prompts: [{ name: 'p' }] }
    const { lists } = await read((call) => EMPTY[call.method]!, { tools: {} }, known)
    expect(lists).toMatchObject({ tools: [], prompts: [] })
  })

  it('gives up when the connection is gone', async () => {
    const gone = new ConnectionError('exited with code 1', { delivered: true, lost: true })
    await expect(
      read(() => {
        throw gone
      }),
    ).rejects.toBe(gone)
  })
})
