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
  readonly options?: Record<string, unknown>
}

async function supervisor(
  worker: readonly string[],
  { dataDir, patience = 60_000, options = {} }: Setup = {},
): Promise<Running> {
  const dir = dataDir ?? (await folder())
  return run(SUPERVISOR, [dir, String(patience), JSON.stringify({ delays: [10], ...options }), ...worker])
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

test.each([0, 75, 78])('exit code %i is final', async (code) => {
  const running = await supervisor([`exit:${code}`])
  expect((await running.ended).code).toBe(code)
  expect(workers(running.output())).toBe(1)
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
