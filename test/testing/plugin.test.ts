import { watchFile } from 'node:fs'
import { access, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Contribution, JsonValue, Plugin, PluginContext } from '../../core/index.ts'
import { pluginContract, type MadePlugin } from '../../testing/index.ts'
import { record, type Failures } from './recording.ts'

/** In base64 it is not what it is in base64url, and in JSON not what it is. */
const SECRET = 'canary-secret=/+"???'

const SHAPE = 'its default export makes a plugin of this name, for version 1 of the API'
const SLOTS = 'fills slots that there are, with what belongs there'
const TAKES = 'takes the options it should, and says as JSON with what it was made'
const REFUSES = 'refuses the options it should, and names them'
const OFFLINE = 'is made and set up without network'
const COMMAND = 'beside a command of the command line it watches nothing and keeps no process alive'
const CLOSES = 'leaves nothing behind when the proxy closes'
const FAILS = 'leaves nothing behind when the start fails after its set-up'
const TWICE = 'twice in one process, neither disturbs the other'
const AGAIN = 'starts again on the data it has left'
const DISCREET = 'its secrets do not reach the log'

/** What the suite, or those of its tests that are named, find in a plugin that sets itself up like this. */
function findings(setup: Plugin['setup'], more: Partial<MadePlugin> = {}, ...only: string[]): Promise<Failures> {
  return findingsIn({ module: { default: { name: 'broken', apiVersion: 1, setup } }, ...more }, ...only)
}

async function findingsIn(made: MadePlugin, ...only: string[]): Promise<Failures> {
  return (await record((runner) => pluginContract(runner, 'broken', () => made), only)).failures
}

describe('the plugin suite', () => {
  test('passes a plugin that has no mistake', async () => {
    const failures = await findings(
      ({ logger, config, watch, serving }) => {
        logger.info('set up')
        watch(`${config.dataDir}/file`, () => undefined)
        const beat = serving ? setInterval(() => undefined, 10_000) : undefined
        return { hooks: { ready: () => logger.info('ready') }, dispose: () => clearInterval(beat) }
      },
      { env: { KEY: SECRET }, secrets: [SECRET] },
    )
    expect(failures).toEqual({})
  })

  const SHAPES: readonly (readonly [what: string, module: { readonly default?: unknown }, says: RegExp])[] = [
    ['no default export', {}, /default export/],
    ['another name', { default: { name: 'other', apiVersion: 1, setup: () => undefined } }, /other/],
    ['no version', { default: { name: 'broken', setup: () => undefined } }, /apiVersion/],
  ]
  test.each(SHAPES)('finds %s', async (_, module, says) => {
    expect((await findingsIn({ module }, SHAPE))[SHAPE]).toMatch(says)
  })

  const CONTRIBUTIONS: readonly (readonly [what: string, contribution: object, says: RegExp])[] = [
    ['a slot that there is not', { midleware: () => undefined }, /no slot "midleware"/],
    ['a hook that there is not', { hooks: { redy: () => undefined } }, /no hook "redy"/],
    ['a path without slash', { routes: [{ path: 'x', handler: () => new Response() }] }, /routes\[0\]\.path/],
    [
      'a transport without schema',
      { transports: [{ type: 'x', connect: () => undefined }] },
      /transports\[0\]\.schema/,
    ],
    ['a command of two words', { commands: [{ name: 'a b', description: 'd', run: () => 0 }] }, /commands\[0\]\.name/],
  ]
  test.each(CONTRIBUTIONS)('finds %s', async (_, contribution, says) => {
    expect((await findings(() => contribution as Contribution, {}, SLOTS))[SLOTS]).toMatch(says)
  })

  test('finds a set-up that asks the network, and one that does so a little later', async () => {
    const ask = async () => void (await fetch('http://127.0.0.1:59999/').catch(() => undefined))
    for (const setup of [ask, () => void setTimeout(() => void ask(), 20)]) {
      expect((await findings(setup, {}, OFFLINE))[OFFLINE]).toMatch(/TCPCONNECTWRAP/)
    }
  })

  test('finds what stands beside a command', async () => {
    const watching = ({ config }: PluginContext) =>
      void watchFile(config.dataDir, { persistent: false }, () => undefined)
    expect((await findings(watching, {}, COMMAND))[COMMAND]).toMatch(/STATWATCHER, opened at .*plugin\.test\.ts/)
    const ticking = (): Contribution => {
      const beat = setInterval(() => undefined, 10_000)
      return { dispose: () => clearInterval(beat) }
    }
    expect((await findings(ticking, {}, COMMAND))[COMMAND]).toMatch(/Timeout, opened at .*plugin\.test\.ts/)
  })

  const opened: { close(): void }[] = []
  const LEFT: readonly (readonly [what: string, setup: () => Contribution | undefined, says: RegExp])[] = [
    [
      'a timer that goes on, also one that keeps nothing alive',
      () => void opened.push(closer(setInterval(() => undefined, 10_000).unref())),
      /Timeout/,
    ],
    ['a server that goes on', () => void opened.push(createServer().listen(0, '127.0.0.1').unref()), /TCPSERVERWRAP/],
  ]
  test.each(LEFT)('finds %s', async (_, setup, says) => {
    const failures = await findings(setup, {}, CLOSES, FAILS)
    for (const one of opened.splice(0)) one.close()
    expect(failures[CLOSES]).toMatch(says)
    expect(failures[FAILS]).toMatch(says)
  })

  test('finds a dispose that throws', async () => {
    const dispose = () => Promise.reject(new Error('no'))
    expect((await findings(() => ({ dispose }), {}, CLOSES))[CLOSES]).toMatch(/dispose must neither throw/)
  })

  test('finds one that is there only once in a process', async () => {
    let taken = false
    const setup = () => {
      if (taken) throw new Error('already there')
      taken = true
      return { dispose: () => void (taken = false) }
    }
    expect(Object.keys(await findings(setup))).toEqual([TWICE])
  })

  test('finds one whose end is the end of all of them', async () => {
    const all: { over: boolean }[] = []
    const setup = () => {
      const own = { over: false }
      all.push(own)
      const handler = () => new Response(own.over ? 'over' : 'on')
      return { routes: [{ path: '/state', handler }], dispose: () => all.forEach((one) => (one.over = true)) }
    }
    const exercise: MadePlugin['exercise'] = async ({ origin }) => {
      expect(await (await fetch(`${origin}/state`)).text()).toBe('on')
    }
    expect(Object.keys(await findings(setup, { exercise }))).toEqual([TWICE])
  })

  test('finds one that does not start on its own data', async () => {
    const setup = ({ storage }: PluginContext) => ({
      hooks: { ready: () => storage.put('mark:1', true) },
      routes: [{ path: '/mark', handler: async () => Response.json((await storage.get('mark:1')) ?? null) }],
    })
    const exercise: MadePlugin['exercise'] = async ({ origin }) => {
      await expect.poll(async () => (await fetch(`${origin}/mark`)).text()).toBe('true')
    }
    expect(await findings(setup, { exercise })).toEqual({})
    const refusing = async ({ config }: PluginContext) => {
      const mark = `${config.dataDir}/mark`
      const isThere = await access(mark).then(
        () => true,
        () => false,
      )
      if (isThere) throw new Error('not mine')
      await writeFile(mark, '')
    }
    expect(Object.keys(await findings(refusing))).toEqual([AGAIN])
  })

  const SPELLINGS: readonly (readonly [string, (secret: string) => unknown])[] = [
    ['as it is', (secret) => `key ${secret}`],
    ['in a URL', (secret) => new URL(`https://example.com/?${new URLSearchParams({ secret }).toString()}`).href],
    ['in base64', (secret) => `Basic ${Buffer.from(secret).toString('base64')}`],
    ['in an object', (secret) => ({ secret })],
    ['in an error', (secret) => new Error(`wrong: ${secret}`)],
  ]
  test.each(SPELLINGS)('finds a secret in the log, %s', async (_, spell) => {
    const setup = ({ logger, config }: PluginContext) => logger.debug(spell(config.env.KEY ?? ''))
    const failures = await findings(setup, { env: { KEY: SECRET }, secrets: ['something else', SECRET] })
    expect(Object.keys(failures)).toEqual([DISCREET])
    expect(failures[DISCREET]).not.toContain('canary')
  })
})

describe('options: the plugin suite', () => {
  const make = (options: JsonValue = {}, told: JsonValue | undefined = options): Plugin => {
    const unknown = Object.keys(options as object).filter((key) => key !== 'limit')
    if (unknown.length > 0) throw new Error(`unknown option "${unknown.join('", "')}"`)
    return { name: 'broken', apiVersion: 1, ...(told !== undefined && { options: told }), setup: () => undefined }
  }
  const findingsOf = (factory: (options?: JsonValue) => Plugin, more: Partial<MadePlugin>, ...only: string[]) =>
    findingsIn({ module: { default: factory }, ...more }, ...only)
  const SAMPLES = { accepts: [{ limit: 1 }], refuses: [{ limits: 1 }] }

  test('passes options that are checked and told', async () => {
    expect(await findingsOf(make, SAMPLES)).toEqual({})
  })

  test('finds options that are accepted whatever they are', async () => {
    const failures = await findingsOf(() => make(), { refuses: [{ limits: 1 }] }, REFUSES)
    expect(failures[REFUSES]).toMatch(/\{"limits":1\} was accepted/)
  })

  test('finds an error that does not say which option, and one that tells a secret', async () => {
    const fail = (text: string) => (options?: JsonValue) => {
      if (options !== undefined && 'limits' in (options as object)) throw new Error(text)
      return make(options)
    }
    expect((await findingsOf(fail('bad options'), SAMPLES, REFUSES))[REFUSES]).toMatch(/names none of its keys/)
    const failures = await findingsOf(fail(`limits: not with ${SECRET}`), { ...SAMPLES, secrets: [SECRET] }, REFUSES)
    expect(failures[REFUSES]).toMatch(/stands in the error/)
  })

  test('finds options that are not told, or are no JSON', async () => {
    const quiet = (options?: JsonValue) => {
      const { options: _, ...plugin } = make(options)
      return plugin
    }
    expect((await findingsOf(quiet, SAMPLES, TAKES))[TAKES]).toMatch(/must say so/)
    const odd = (options?: JsonValue) => ({ ...make(options), options: new Date() as never })
    expect((await findingsOf(odd, SAMPLES, TAKES))[TAKES]).toMatch(/must be JSON/)
  })
})

function closer(timer: NodeJS.Timeout): { close(): void } {
  return { close: () => clearInterval(timer) }
}
