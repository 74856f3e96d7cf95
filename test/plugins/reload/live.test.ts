import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import type { ConfigChange, NextConfig } from '../../../core/index.ts'
import { createLiveReload, type LiveOptions } from '../../../plugins/reload/live.ts'
import { captureLog } from '../../harness.ts'
import { until } from '../../e2e/support/until.ts'

const NOTHING: ConfigChange = { added: [], removed: [], changed: [], beyond: [] }

/** What an evaluation says; an error: it fails. */
type Said = Partial<NextConfig> | Error | Promise<Partial<NextConfig>>

interface Scene extends Partial<LiveOptions> {
  /** What each evaluation says, in order; the last one repeats. */
  readonly says?: readonly Said[]
  readonly files?: readonly string[]
  readonly watchFiles?: readonly string[]
}

/** Live reload with everything it asks for beside it: what it asked, in order, is in `done`. */
function scene({ says = [{}], files = [], watchFiles = files, ...options }: Scene = {}) {
  const { logger, lines } = captureLog()
  const end = new AbortController()
  const done: string[] = []
  const watched = new Map<string, () => void>()
  let evaluations = 0
  const live = createLiveReload(
    {
      config: { ...resolveConfig({}, { env: {} }), files, watchFiles },
      logger,
      signal: end.signal,
      watch: (path, on) => void watched.set(path, on),
      async evaluate() {
        done.push('evaluate')
        const said = await says[Math.min(evaluations++, says.length - 1)]
        if (said instanceof Error) throw said
        return { servers: [], files, watchFiles, warnings: [], change: NOTHING, ...said }
      },
      apply: async () => void done.push('apply'),
      exit: (code, reason) => void done.push(`exit ${code}: ${reason}`),
    },
    { strategy: 'apply', debounce: 1, since: Number.POSITIVE_INFINITY, ...options },
  )
  const said = () => lines.filter(({ level }) => level !== 'debug').map(({ level, text }) => `${level}: ${text}`)
  return { live, done, said, end, touch: (path: string) => watched.get(path)?.(), watched: () => [...watched.keys()] }
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'mcp-proxy-live-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

const changed = (change: Partial<ConfigChange>) => ({ change: { ...NOTHING, ...change } })
const times = (done: readonly string[], what: string) => done.filter((each) => each === what).length

test('servers are taken over in the running process, and named', async () => {
  const { live, done, said } = scene({ says: [changed({ added: ['a', 'b'], removed: ['c'], changed: ['d'] })] })
  live.now()
  await until('it is said', () => said().length > 0)
  expect(done).toEqual(['evaluate', 'apply'])
  expect(said()).toEqual(['info: the configuration was applied: new: a, b; gone: c; changed: d'])
})

test('anything else is exit 42, and named', async () => {
  const { live, done } = scene({ says: [changed({ added: ['a'], beyond: ['port', 'env.TOKEN'] })] })
  live.now()
  await until('it exits', () => done.length === 2)
  expect(done[1]).toBe('exit 42: the configuration has changed (port, env.TOKEN; new: a)')
})

test('with "restart" servers are exit 42 as well, and nothing is nothing', async () => {
  const { live, done, said } = scene({ strategy: 'restart', says: [{}, changed({ changed: ['a'] })] })
  live.now()
  await until('it is said', () => said().length > 0)
  expect(said()).toEqual(['info: the configuration was read again: nothing in it has changed'])
  live.now()
  await until('it exits', () => done.some((each) => each.startsWith('exit')))
  expect(done.at(-1)).toBe('exit 42: the configuration has changed (changed: a)')
})

test('where nothing has changed it is handed on all the same: there may be something to warn about', async () => {
  const { live, done, said } = scene()
  live.now()
  await until('it is said', () => said().length > 0)
  expect(done).toEqual(['evaluate', 'apply'])
})

test('what cannot be evaluated is refused in one line, and the next try counts', async () => {
  const { live, done, said } = scene({
    says: [new Error('x.ts:1: no\n  x.ts:2: neither\n\n'), changed({ added: ['a'] })],
  })
  live.now()
  await until('it is refused', () => said().length > 0)
  expect(said()).toEqual([
    'error: the edited configuration is refused, the proxy goes on with the one before: x.ts:1: no; x.ts:2: neither',
  ])
  expect(done).toEqual(['evaluate'])
  live.now()
  await until('it is applied', () => done.includes('apply'))
})

test('a file that is gone is refused until it is back, also if what is left could be started with', async () => {
  const file = join(await folder(), 'a.json')
  const gone = { files: [], ...changed({ removed: ['a'] }) }
  const { live, done, said } = scene({ files: [file], says: [gone, gone, {}] })
  live.now()
  live.now()
  await until('it is refused twice', () => said().length === 2)
  expect(said()[0]).toContain(`${file} is gone; put it back`)
  await writeFile(file, '')
  live.now()
  await until('it is taken', () => done.includes('apply'))
  expect(times(done, 'evaluate')).toBe(3)
})

test('a file that was away just while it was looked for is looked for again', async () => {
  const file = join(await folder(), 'a.json')
  await writeFile(file, '')
  const away = { files: [], ...changed({ removed: ['a'] }) }
  const { live, said } = scene({ files: [file], says: [away, changed({ changed: ['a'] })] })
  live.now()
  await until('it is said', () => said().length > 0)
  expect(said()).toEqual(['info: the configuration was applied: changed: a'])
})

test('a file that is there and read no more, because another one is, is let go', async () => {
  const dir = await folder()
  const [before, after] = [join(dir, 'a.mjs'), join(dir, 'a.ts')]
  await writeFile(before, '')
  const { live, said, done } = scene({ files: [before], says: [{ files: [after], ...changed({ changed: ['a'] }) }] })
  live.now()
  await until('it is applied', () => said().length > 0)
  await rm(before)
  live.now()
  await until('it is applied again', () => said().length === 2)
  expect(said().every((line) => line.startsWith('info'))).toBe(true)
  expect(times(done, 'apply')).toBe(2)
})

test('every file that counts is watched, each once, also one that counts from now on', async () => {
  const { live, watched, done, touch } = scene({
    watchFiles: ['/x/a', '/x/b'],
    says: [{ watchFiles: ['/x/b', '/x/c'] }],
  })
  live.watch()
  expect(watched()).toEqual(['/x/a', '/x/b'])
  touch('/x/b')
  touch('/x/a')
  await until('it is read', () => done.includes('apply'))
  expect(watched()).toEqual(['/x/a', '/x/b', '/x/c'])
  expect(times(done, 'evaluate')).toBe(1)
  touch('/x/c')
  await until('it is read again', () => times(done, 'evaluate') === 2)
})

test('without watching it reads when it is told to, and begins to watch nothing', async () => {
  const { live, watched, done } = scene({ watchFiles: ['/x/a'] })
  live.now()
  await until('it is read', () => done.includes('apply'))
  expect(watched()).toEqual([])
})

test('what was edited after this process began, and before the watch did, is read', async () => {
  const dir = await folder()
  const file = join(dir, 'a.json')
  await writeFile(file, '')
  const since = Date.now() - 60_000
  const { live, done } = scene({ watchFiles: [join(dir, 'none'), file], since })
  live.watch()
  await until('it is read', () => done.includes('apply'))
})

test('what was put in place after that counts, however old it says it is; what is older does not', async () => {
  const file = join(await folder(), 'a.json')
  await writeFile(file, '')
  await utimes(file, 1, 1)
  const late = scene({ watchFiles: [file], since: Date.now() - 60_000 })
  late.live.watch()
  const early = scene({ watchFiles: [file], since: Date.now() + 60_000 })
  early.live.watch()
  await until('it is read', () => late.done.includes('apply'))
  expect(early.done).toEqual([])
})

test('an edit during an evaluation is evaluated after it', async () => {
  let answer: (next: Partial<NextConfig>) => void = () => {}
  const first = new Promise<Partial<NextConfig>>((resolve) => (answer = resolve))
  const { live, done, said, touch } = scene({
    watchFiles: ['/x/a'],
    says: [first, changed({ changed: ['second'] })],
  })
  live.watch()
  live.now()
  touch('/x/a')
  touch('/x/a')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(times(done, 'evaluate')).toBe(1)
  answer(changed({ changed: ['first'] }))
  await until('both are applied', () => said().length === 2)
  expect(said().map((line) => line.split(': ').at(-1))).toEqual(['first', 'second'])
})

test('nothing is read or said once the proxy closes', async () => {
  let fail: (error: Error) => void = () => {}
  const first = new Promise<never>((_, reject) => (fail = reject))
  const { live, done, said, touch } = scene({ watchFiles: ['/x/a'], says: [first] })
  live.watch()
  live.now()
  touch('/x/a')
  live.end()
  fail(new Error('its evaluation ended (SIGKILL)'))
  touch('/x/a')
  live.now()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(done).toEqual(['evaluate'])
  expect(said()).toEqual([])
})
