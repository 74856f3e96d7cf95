import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { evaluateAnew } from '../../../core/cli/evaluate.ts'
import { changeOf } from '../../../core/config/change.ts'
import { dispose, eventually, folder, freePort, isRunning, run } from '../../fixtures/cli/run.ts'

const CLI = new URL('../../../core/cli.ts', import.meta.url).pathname
const PROGRAM = new URL('../../fixtures/reload/evaluate.ts', import.meta.url).pathname

// A new process takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

afterAll(dispose)

interface Scene {
  readonly env?: NodeJS.ProcessEnv
  readonly limit?: number
  readonly place?: { readonly host: string; readonly port: number }
  readonly signal?: AbortSignal
  readonly name?: string
}

/** A main file in a folder of its own, and how it is evaluated. */
async function scene(text: string, { name = 'mcp-proxy.config.ts', env, place, limit, signal }: Scene = {}) {
  const cwd = await folder()
  const file = join(cwd, name)
  await writeFile(file, text)
  const evaluate = evaluateAnew({
    entry: { file: CLI, argv: ['--config', file] },
    env: { PATH: process.env.PATH, MCP_MAX_RETRIES: '0', ...env },
    place: place ?? { host: '127.0.0.1', port: 8080 },
    ...(limit !== undefined && { limit }),
  })
  return { cwd, file, evaluate: () => evaluate(signal ?? new AbortController().signal) }
}

const failureOf = (evaluation: Promise<unknown>): Promise<{ code: string; message: string }> =>
  evaluation.then(
    () => Promise.reject(new Error('it was evaluated')),
    (error) => error,
  )

/** A process that the main file leaves its pid of in a file. */
const pidIn = async (file: string): Promise<number> => {
  await eventually(() => existsSync(file))
  return Number(await readFile(file, 'utf8'))
}

const STAYS = 'await new Promise(() => {})'
const TELLS = `
  import { spawn } from 'node:child_process'
  import { renameSync, writeFileSync } from 'node:fs'
  const tell = (name: string, pid: unknown) => {
    writeFileSync(import.meta.dirname + '/' + name + '.new', String(pid))
    renameSync(import.meta.dirname + '/' + name + '.new', import.meta.dirname + '/' + name)
  }
  tell('pid', process.pid)
  tell('child', spawn('sleep', ['1000'], { stdio: 'ignore' }).pid)
`

describe.concurrent('an evaluation', () => {
  test('says what the files say now, the same each time, connects nothing, and reads modules anew', async () => {
    const text = (port: number) => `
      import { shown } from './shown.ts'
      const plugin: { name: string; setup(): void } = { name: 'own', setup: () => void shown }
      export default {
        port: ${port},
        plugins: ['transport-stdio', plugin],
        mcpServers: { [shown]: { command: 'touch', args: [import.meta.dirname + '/started'] } },
      }`
    const { cwd, file, evaluate } = await scene(text(0))
    await writeFile(join(cwd, 'shown.ts'), `export const shown = 'one'`)
    const [first, second] = [await evaluate(), await evaluate()]
    expect(changeOf(first, second)).toEqual({ added: [], removed: [], changed: [], beyond: [] })
    expect(first.files).toEqual([file])
    expect(first.watchFiles).toContain(join(cwd, 'mcp_config.json'))
    expect(existsSync(join(cwd, 'started'))).toBe(false)
    await writeFile(join(cwd, 'shown.ts'), `export const shown = 'two'`)
    const port = await freePort()
    await writeFile(file, text(port))
    const change = changeOf(first, await evaluate())
    expect(change).toEqual({ added: ['two'], removed: ['one'], changed: [], beyond: expect.arrayContaining(['port']) })
    // It was listened at, and is free again.
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve))
    other.close()
  })

  test.each([
    ['half of a file', `export default {\n  port: 1,\n  mcpServers: {`, /config\.ts:3:\d+: syntax error/],
    [
      'what throws',
      `\nthrow new Error('not today')\nexport default {}`,
      /config\.ts:2: cannot be evaluated: not today/,
    ],
    ['an unknown plugin', `export default { plugins: ['transport-pigeon'] }`, /"transport-pigeon" is unknown/],
    [
      'a plugin that throws in its set-up',
      `export default { plugins: [{ name: 'own', setup() { throw new Error('no luck') } }] }`,
      /plugin "own" failed to set up: no luck/,
    ],
  ])('of %s fails with what and where', async (_, text, message) => {
    const { evaluate } = await scene(text)
    const error = await failureOf(evaluate())
    expect(error.code).toMatch(/^ERR_PROXY_(CONFIG|PLUGIN)$/)
    expect(error.message).toMatch(message)
  })

  test.each([
    ['waits for ever', STAYS],
    ['never comes to an end', 'while (true) {}'],
  ])('that %s is ended in the end, with all it has started', async (_, what) => {
    for (let limit = 3000; ; limit *= 2) {
      const { cwd, evaluate } = await scene(`${TELLS}\n${what}\nexport default {}`, { limit })
      const { message } = await failureOf(evaluate())
      expect(message).toContain(`evaluation took longer than ${limit / 1000} s; look at what the main file does`)
      // A busy machine has not come that far.
      if (!existsSync(join(cwd, 'child'))) continue
      const pids = [await pidIn(join(cwd, 'pid')), await pidIn(join(cwd, 'child'))]
      await eventually(() => !pids.some(isRunning))
      return
    }
  })

  test('that ends by itself is told from one that takes too long', async () => {
    const { evaluate } = await scene(`process.exit(3)\nexport default {}`)
    expect((await failureOf(evaluate())).message).toContain('evaluation ended (exit code 3) before it was done')
  })

  test('that nobody waits for any more is ended, with all it has started', async () => {
    const end = new AbortController()
    const { cwd, evaluate } = await scene(`${TELLS}\n${STAYS}\nexport default {}`, { signal: end.signal })
    const failure = failureOf(evaluate())
    const pids = [await pidIn(join(cwd, 'pid')), await pidIn(join(cwd, 'child'))]
    end.abort()
    await failure
    await eventually(() => !pids.some(isRunning))
    await expect(evaluate()).rejects.toThrow()
  })

  test('ends when the one who waits for it is killed', async () => {
    const { cwd, file } = await scene(`${TELLS}\n${STAYS}\nexport default {}`)
    const program = run(PROGRAM, [file])
    const pid = await pidIn(join(cwd, 'pid'))
    program.child.kill('SIGKILL')
    await eventually(() => !isRunning(pid))
    process.kill(await pidIn(join(cwd, 'child')), 'SIGKILL')
  })

  test('may print what it likes: nothing of that is on the standard output of the proxy', async () => {
    const { file } = await scene(`console.log('noise')\nexport default { mcpServers: { a: { command: 'x' } } }`)
    const program = run(PROGRAM, [file])
    expect((await program.ended).code).toBe(0)
    expect(program.output()).toBe('evaluated a\n')
  })

  test('of much, and of a bad server entry, arrives whole', async () => {
    const { evaluate } = await scene(`
      const server = { command: 'x', env: { TEXT: 'é'.repeat(5000) } }
      const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => ['s' + at, server]))
      export default { mcpServers: { bad: { requestTimeout: 'soon' }, ...many } }`)
    const { servers } = await evaluate()
    expect(servers).toHaveLength(501)
    expect(servers[0]?.problem).toContain('requestTimeout')
    expect(servers.at(-1)?.entry).toEqual({ command: 'x', env: { TEXT: 'é'.repeat(5000) } })
  })
})

describe.concurrent('another place to listen', () => {
  test('that is taken is refused; the one where the proxy listens itself is not', async () => {
    const port = await freePort()
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve))
    const text = `export default { port: ${port} }`
    const [moved, stays] = await Promise.all([scene(text), scene(text, { place: { host: '127.0.0.1', port } })])
    const [failure] = await Promise.all([failureOf(moved.evaluate()), stays.evaluate()])
    expect(failure.message).toContain(`port ${port} on 127.0.0.1 is taken`)
    other.close()
  })

  test.each([
    [
      'an address of another machine',
      `{ host: '192.0.2.1', allowUnauthenticated: true }`,
      /192\.0\.2\.1.*not an address of this machine/,
    ],
    ['a port that browsers refuse', `{ port: 6000 }`, /port 6000 is reserved/],
  ])('that is %s is refused', async (_, config, message) => {
    const { evaluate } = await scene(`export default ${config}`)
    expect((await failureOf(evaluate())).message).toMatch(message)
  })
})
