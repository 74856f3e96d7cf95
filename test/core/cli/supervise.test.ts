import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dispose, eventually, folder, isRunning, run } from '../../fixtures/cli/run.ts'
import type { Running } from '../../fixtures/cli/run.ts'

const SUPERVISOR = new URL('../../fixtures/cli/supervisor.ts', import.meta.url).pathname

afterEach(dispose)

interface Setup {
  readonly dataDir?: string
  readonly patience?: number
  /** False: a supervisor that fails on SIGUSR2. */
  readonly options?: Record<string, unknown> | false
}

async function supervisor(
  worker: readonly string[],
  { dataDir, patience = 60_000, options = {} }: Setup = {},
): Promise<Running> {
  const dir = dataDir ?? (await folder())
  const chosen = options && { delays: [10], ...options }
  return run(SUPERVISOR, [dir, String(patience), JSON.stringify(chosen), ...worker])
}

const workers = (output: string): number => output.match(/^worker \d+$/gm)?.length ?? 0
const pidOf = (found: RegExpExecArray): number => Number(found[1])

test('a crashing worker is started again up to the limit, then its exit code is passed on', async () => {
  const running = await supervisor(['exit:7'], { options: { limit: 2 } })
  expect(await running.ended).toEqual({ code: 7, signal: null })
  expect(workers(running.output())).toBe(3)
  expect(running.output()).toContain('restart 2 of 2')
  expect(running.output()).toContain('giving up after 2 restart(s)')
})

test('exit code 42 starts anew and counts as no crash', async () => {
  const running = await supervisor(['exit:42'], { options: { limit: 0 } })
  await running.until(/worker \d+[^]*asked to be started anew[^]*worker \d+[^]*asked to be started anew/)
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(0)
})

test('SIGHUP asks the worker to start anew', async () => {
  const running = await supervisor([])
  const first = pidOf(await running.until(/worker (\d+)/))
  running.child.kill('SIGHUP')
  const second = pidOf(await running.until(/anew[^]*worker (\d+)/))
  expect(second).not.toBe(first)
})

test('SIGHUP for a worker that does not listen yet starts another one, and is no crash', async () => {
  const running = await supervisor(['deaf'], { options: { limit: 0 } })
  await running.until(/worker \d+/)
  running.child.kill('SIGHUP')
  await running.until(/anew[^]*worker \d+/)
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(0)
})

test('one that SIGHUP of somebody else ends has crashed', async () => {
  const running = await supervisor(['deaf'], { options: { limit: 0 } })
  process.kill(pidOf(await running.until(/worker (\d+)/)), 'SIGHUP')
  expect((await running.ended).code).toBe(129)
})

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends worker and supervisor with 0, also where the worker does not listen yet',
  async (signal) => {
    const running = await supervisor([])
    const worker = pidOf(await running.until(/worker (\d+)/))
    running.child.kill(signal)
    expect(await running.ended).toEqual({ code: 0, signal: null })
    expect(isRunning(worker)).toBe(false)
  },
)

test('a signal while waiting for the next restart ends the supervisor', async () => {
  const running = await supervisor(['exit:1'], { options: { delays: [1_000_000] } })
  await running.until(/restart 1 of 10 in 1000 s/)
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(0)
})

test('a signal while a crashed worker is cleared up ends the supervisor with 0', async () => {
  const dataDir = await folder()
  // The family ignores SIGTERM: it takes a second to end it.
  const running = await supervisor([`groups:${dataDir}`, 'exit:7'], { dataDir, options: { delays: [1_000_000] } })
  const [, leader] = await running.until(/family (\d+)/)
  await eventually(() => existsSync(join(dataDir, 'told')))
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(0)
  expect(isRunning(Number(leader))).toBe(false)
})

test('a supervising plugin that fails leaves neither its worker nor a group', async () => {
  const dataDir = await folder()
  const running = await supervisor([`groups:${dataDir}`], { dataDir, options: false })
  const [, ...pids] = await running.until(/family (\d+) (\d+)\nworker (\d+)/)
  running.child.kill('SIGUSR2')
  expect((await running.ended).code).toBe(1)
  expect(running.output()).toContain('no idea what to do')
  expect(pids.map(Number).filter(isRunning)).toEqual([])
})

test('a worker that does not end in time is killed', async () => {
  const running = await supervisor(['stubborn'], { patience: 100 })
  await running.until(/worker \d+/)
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(137)
  expect(running.output()).toContain('did not end within 0.1 s')
})

test('a second signal kills the worker; one that comes with the first does not count', async () => {
  const running = await supervisor(['stubborn'])
  const worker = pidOf(await running.until(/worker (\d+)/))
  running.child.kill('SIGINT')
  await running.until(/got SIGINT/)
  running.child.kill('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 700))
  expect(isRunning(worker)).toBe(true)
  running.child.kill('SIGINT')
  expect((await running.ended).code).toBe(137)
})

test('a killed worker leaves no group behind and a new one starts', async () => {
  const dataDir = await folder()
  const running = await supervisor([`groups:${dataDir}`], { dataDir })
  const [, leader, child, worker] = await running.until(/family (\d+) (\d+)\nworker (\d+)/)
  process.kill(Number(worker), 'SIGKILL')
  await running.until(/ended 1 process group[^]*exit code 137[^]*worker \d+/)
  expect([leader, child].map(Number).filter(isRunning)).toEqual([])
  running.child.kill('SIGTERM')
  expect((await running.ended).code).toBe(0)
  expect(await readdir(join(dataDir, 'groups'))).toEqual([])
})

test('a worker notices that its supervisor was killed', async () => {
  const running = await supervisor([])
  const worker = pidOf(await running.until(/worker (\d+)/))
  running.child.kill('SIGKILL')
  await eventually(() => !isRunning(worker))
})
