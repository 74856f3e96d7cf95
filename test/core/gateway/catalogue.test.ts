import { describe, expect, it } from 'vitest'
import { buildCatalogue } from '../../../core/gateway/catalogue.ts'
import { Names } from '../../../core/gateway/names.ts'
import type { Source } from '../../../core/gateway/source.ts'
import { sourceOf, toolsOf } from '../../fixtures/core/source.ts'

function build(sources: readonly Source[]) {
  const warnings: string[] = []
  const names = { tools: new Names(64), prompts: new Names(64) }
  return { catalogue: buildCatalogue(sources, names, (message) => warnings.push(message)), warnings }
}

describe('the merged catalogue', () => {
  it('leads exposed names to the server and its own name, in the order of the configuration', () => {
    const [a, b] = [sourceOf('a', { tools: toolsOf('one', 'two') }), sourceOf('b', { tools: toolsOf('one') })]
    const { catalogue } = build([a, b])
    expect(catalogue.items.tools.map(({ item }) => item.name)).toEqual(['a_one', 'a_two', 'b_one'])
    expect(catalogue.tool('b_one')).toMatchObject({ source: b, name: 'one' })
    expect(catalogue.tool('one')).toBeUndefined()
    expect(catalogue.tool('constructor')).toBeUndefined()
  })

  it('changes nothing of an item but its name', () => {
    const tool = { name: 'one', title: 'One', inputSchema: { type: 'object' }, 'x-vendor': [1], _meta: { k: 1 } }
    const { catalogue } = build([sourceOf('a', { tools: [tool] })])
    expect(catalogue.items.tools[0]?.item).toEqual({ ...tool, name: 'a_one' })
    expect(tool.name).toBe('one')
  })

  it('keeps names of tools and prompts apart', () => {
    const lists = { tools: toolsOf('one'), prompts: [{ name: 'one' }] }
    const { catalogue } = build([sourceOf('a', lists, { prefix: false })])
    expect(catalogue.tool('one')?.name).toBe('one')
    expect(catalogue.prompt('one')?.name).toBe('one')
  })

  it('leaves out tools a server does not offer, but not its prompts of that name', () => {
    const lists = { tools: toolsOf('one', 'two'), prompts: [{ name: 'two' }] }
    const { catalogue } = build([sourceOf('a', lists, { offers: (tool) => tool !== 'two' })])
    expect(catalogue.items.tools.map(({ exposed }) => exposed)).toEqual(['a_one'])
    expect(catalogue.tool('a_two')).toBeUndefined()
    expect(catalogue.prompt('a_two')).toBeDefined()
  })

  it('gives a URI to the first server in the order of the configuration and warns about the other', () => {
    const a = sourceOf('a', { resources: [{ uri: 'x://1', name: 'from a' }] })
    const b = sourceOf('b', { resources: [{ uri: 'x://1', name: 'from b' }, { uri: 'x://2' }] })
    const { catalogue, warnings } = build([a, b])
    expect(catalogue.items.resources.map(({ item }) => item)).toEqual([
      { uri: 'x://1', name: 'from a' },
      { uri: 'x://2' },
    ])
    expect(catalogue.resource('x://1')).toBe(a)
    expect(catalogue.resource('x://2')).toBe(b)
    expect(warnings).toEqual(['server "b" also lists x://1, which server "a" owns: it stays there'])
  })

  it('finds the owner of an unlisted URI by template, the listed one first', () => {
    const a = sourceOf('a', { templates: [{ uriTemplate: 'x://{id}' }] })
    const b = sourceOf('b', { resources: [{ uri: 'x://special' }], templates: [{ uriTemplate: 'y://{id}' }] })
    const { catalogue } = build([a, b])
    expect(catalogue.resource('x://7')).toBe(a)
    expect(catalogue.resource('y://7')).toBe(b)
    expect(catalogue.resource('x://special')).toBe(b)
    expect(catalogue.resource('z://7')).toBeUndefined()
    expect(catalogue.template('y://{id}')).toBe(b)
    expect(catalogue.template('y://7')).toBeUndefined()
  })

  it('gives unknown URIs to the only server that has resources, and to nobody where there are two', () => {
    const a = sourceOf('a', { resources: [{ uri: 'x://1' }] })
    const tools = sourceOf('b', { tools: toolsOf('one') })
    expect(build([a, tools]).catalogue.resource('q://unlisted')).toBe(a)
    const c = sourceOf('c', { resources: [{ uri: 'x://2' }] })
    expect(build([a, tools, c]).catalogue.resource('q://unlisted')).toBeUndefined()
  })
})
