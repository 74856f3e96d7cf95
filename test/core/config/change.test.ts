import { describe, expect, test } from 'vitest'
import { changeOf, differenceOf, snapshotOf, type ConfigSnapshot } from '../../../core/config/change.ts'
import type { UntypedConfig } from '../../../core/config/define.ts'
import { resolveConfig, type ResolveOptions } from '../../../core/config/resolve.ts'

function snapshot(config: UntypedConfig = {}, options: ResolveOptions = {}): ConfigSnapshot {
  return snapshotOf(resolveConfig(config, { rootDir: '/x', env: {}, ...options }))
}

/** As it arrives from another process. */
const sent = (one: ConfigSnapshot): ConfigSnapshot => JSON.parse(JSON.stringify(one))
const changeBetween = (before: UntypedConfig, next: UntypedConfig) => changeOf(snapshot(before), sent(snapshot(next)))
const NOTHING = { added: [], removed: [], changed: [], beyond: [] }

describe('a change', () => {
  test('is none between two readings of the same, whatever the order of keys and servers', () => {
    const one = { command: 'x', env: { A: '1', B: '2' }, prefix: 'p' }
    const same = { prefix: 'p', env: { B: '2', A: '1' }, command: 'x' }
    const other = { url: 'https://example.com/mcp', headers: undefined }
    expect(changeBetween({ mcpServers: { one, other } }, { mcpServers: { other, one: same } })).toEqual(NOTHING)
  })

  test('names the servers that are new, gone and different', () => {
    const [x, y, z] = [{ command: 'x' }, { command: 'y' }, { command: 'z' }]
    const change = changeBetween(
      { mcpServers: { stays: x, goes: x, differs: y } },
      { mcpServers: { comes: x, stays: x, differs: z } },
    )
    expect(change).toEqual({ added: ['comes'], removed: ['goes'], changed: ['differs'], beyond: [] })
  })

  test('of a server called like a property of every object is seen too', () => {
    const named = (name: string, command: string) => ({
      mcpServers: JSON.parse(`{ "${name}": { "command": "${command}" } }`),
    })
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(changeBetween({}, named(name, 'x'))).toMatchObject({ added: [name] })
      expect(changeBetween(named(name, 'x'), named(name, 'y'))).toMatchObject({ changed: [name] })
    }
  })

  test.each([
    ['port', { port: 1 }, ['baseUrl', 'port']],
    ['a limit', { limits: { sessionLife: 1000 } }, ['limits']],
    ['the log', { log: { level: 'debug' } }, ['log']],
    ['the data folder', { dataDir: 'elsewhere' }, ['dataDir']],
    ['the list of plugins', { plugins: ['transport-stdio'] }, ['plugins']],
    ['live reload itself', { liveReload: true }, ['liveReload']],
    ['the secret', { secret: 'x'.repeat(32) }, ['secret']],
  ] as [string, UntypedConfig, string[]][])('in %s is beyond servers', (_, next, beyond) => {
    const change = changeBetween({}, next)
    expect({ ...change, beyond: change.beyond.toSorted() }).toEqual({ ...NOTHING, beyond })
  })

  test('in a variable is beyond servers, and named; so are one that came and one that went', () => {
    const before = snapshot({}, { env: { A: '1', B: '1' } })
    const next = snapshot({}, { env: { A: '2', C: '1' } })
    expect(changeOf(before, sent(next)).beyond.toSorted()).toEqual(['env.A', 'env.B', 'env.C'])
  })

  test('of a prefix for all is one of every server', () => {
    const change = changeBetween(
      { mcpServers: { a: { command: 'x' } } },
      { prefix: false, mcpServers: { a: { command: 'x' } } },
    )
    expect(change).toEqual({ ...NOTHING, changed: ['a'] })
  })
})

describe('plugins', () => {
  const beyond = (before: unknown, next: unknown) =>
    changeBetween({ plugins: [before] } as never, { plugins: [next] } as never).beyond
  const own = (setup: () => void, more: object = {}) => ({ name: 'own', setup, ...more })

  test('by name and options', () => {
    expect(beyond(['storage-fs', { dir: 'a' }], ['storage-fs', { dir: 'a' }])).toEqual([])
    expect(beyond(['storage-fs', { dir: 'a' }], ['storage-fs', { dir: 'b' }])).toEqual(['plugins'])
    expect(beyond('storage-fs', ['storage-fs', { dir: 'b' }])).toEqual(['plugins'])
  })

  test('by value: options and functions', () => {
    expect(
      beyond(
        own(() => console.log(1)),
        own(() => console.log(1)),
      ),
    ).toEqual([])
    expect(
      beyond(
        own(() => console.log(1)),
        own(() => console.log(2)),
      ),
    ).toEqual(['plugins'])
    expect(
      beyond(
        own(() => {}, { options: { a: 1 } }),
        own(() => {}, { options: { a: 2 } }),
      ),
    ).toEqual(['plugins'])
    expect(
      beyond(
        own(() => {}),
        own(() => {}, { supervise: () => Promise.resolve(0) }),
      ),
    ).toEqual(['plugins'])
  })

  test('by value: what stands beside the set-up, and functions among the options', () => {
    expect(
      beyond(
        own(() => {}, { help: () => 1 }),
        own(() => {}, { help: () => 2 }),
      ),
    ).toEqual(['plugins'])
    const checking = (check: (text: string) => boolean) => own(() => {}, { options: { rules: [{ check }] } })
    expect(
      beyond(
        checking((text) => text === 'a'),
        checking((text) => text === 'a'),
      ),
    ).toEqual([])
    expect(
      beyond(
        checking((text) => text === 'a'),
        checking((text) => text === 'b'),
      ),
    ).toEqual(['plugins'])
  })

  test('by value: options that are no JSON disturb nothing', () => {
    const round: Record<string, unknown> = { size: 12n, pattern: /x/, many: new Map([['a', 1]]) }
    round.self = round
    expect(
      beyond(
        own(() => {}, { options: round }),
        own(() => {}, { options: round }),
      ),
    ).toEqual([])
    expect(
      beyond(
        own(() => {}, { options: { size: 12n } }),
        own(() => {}, { options: { size: 13n } }),
      ),
    ).toEqual(['plugins'])
  })
})

describe('two entries of one name', () => {
  const difference = (one: unknown, other: unknown, prefix = true) => {
    const [before] = snapshot({ mcpServers: { a: one } } as never).servers
    const [next] = sent(snapshot({ prefix, mcpServers: { a: other } } as never)).servers
    return differenceOf(before!, next!)
  }
  const entry = { command: 'x' }

  test.each([
    ['prefix', { prefix: 'p' }],
    ['no prefix', { prefix: false }],
    ['included tools', { tools: { include: ['a'] } }],
    ['excluded tools', { tools: { exclude: ['a'] } }],
  ])('that differ in %s are shown otherwise', (_, more) => {
    expect(difference(entry, { ...entry, ...more })).toBe('exposure')
  })

  test.each([
    ['arguments', { args: ['y'] }],
    ['environment', { env: { A: '1' } }],
    ['being off', { disabled: true }],
    ['a time', { requestTimeout: 5 }],
    ['laziness', { lazy: true }],
    ['isolation', { isolate: 'session' }],
    ['era', { protocol: 'modern' }],
    ['whether they are right', { env: { A: '${NOT_SET_AT_ALL}' } }],
  ])('that differ in %s run otherwise, whatever else', (_, more) => {
    expect(difference(entry, { ...entry, ...more })).toBe('server')
    expect(difference(entry, { ...entry, ...more, prefix: 'p' })).toBe('server')
  })

  test('that stand in another line, be it a wrong one, are the same', () => {
    const at = (line: number) => ({
      source: `/x/y.json:${line}`,
      lines: { command: line },
      problem: `y.json:${line}: no`,
    })
    const [one] = snapshot({ mcpServers: { a: entry } }).servers
    expect(differenceOf({ ...one!, ...at(1) }, { ...one!, ...at(9) })).toBe('none')
  })
})

test('a snapshot tells no secret but those of the servers', () => {
  const secrets = ['hush-secret-of-the-key-ring-012345', 'hush-variable', 'hush-option']
  const [secret, variable, option] = secrets
  const plugins = [['storage-fs', { dir: option }]]
  const { rest } = snapshot({ secret, plugins } as never, { env: { TOKEN: variable } })
  for (const one of secrets) expect(JSON.stringify(rest)).not.toContain(one)
})
