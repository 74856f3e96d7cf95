import { expect, test, vi } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import type { Run, WorkerEnd } from '../../../core/index.ts'
import { delaysFrom, restart } from '../../../plugins/reload/restart.ts'
import type { RestartPolicy } from '../../../plugins/reload/restart.ts'
import { captureLog } from '../../harness.ts'

const end = new AbortController()
const policy: RestartPolicy = { delays: [0], limit: 10, healthyAfter: 60_000 }

/** A run whose workers end as listed, the last one over and over. */
function runOf(ends: readonly WorkerEnd[], signal: AbortSignal = end.signal) {
  const start = vi.fn<() => Promise<WorkerEnd>>()
  for (const each of ends.slice(0, -1)) start.mockResolvedValueOnce(each)
  start.mockResolvedValue(ends.at(-1) ?? { code: 0, ranFor: 0 })
  const log = captureLog()
  const run: Run = { logger: log.logger, config: resolveConfig({}), signal, start }
  return { run, start, log: () => log.text() }
}

const waits = (log: string): string[] => [...log.matchAll(/restart (\d+) of \d+/g)].map(([, n]) => n ?? '')

test('the usual delays are 1, 2, 4, 8, 16, then 30 s', () => {
  expect(delaysFrom(resolveConfig({}).restartDelay)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000])
})

test('a first delay above 30 s stays as it is', () => {
  expect(delaysFrom(45_000)).toEqual([45_000])
})

test('one that ran for a minute, not a moment less, begins the count anew', async () => {
  const crash = (ranFor: number): WorkerEnd => ({ code: 1, ranFor })
  const { run, log } = runOf([crash(0), crash(59_999), crash(60_000), crash(0), { code: 0, ranFor: 0 }])
  await restart(run, policy)
  expect(waits(log())).toEqual(['1', '2', '1', '2'])
})

test('what counts as healthy is for the configuration to say', async () => {
  const { run, log } = runOf([
    { code: 1, ranFor: 200 },
    { code: 1, ranFor: 200 },
    { code: 0, ranFor: 0 },
  ])
  await restart(run, { ...policy, healthyAfter: 200, limit: 1 })
  expect(waits(log())).toEqual(['1', '1'])
})

test('a loop of 42 has a floor: the next worker starts a second after the one before, however soon that asks', async () => {
  const stop = new AbortController()
  const { run, start } = runOf([{ code: 42, ranFor: 0 }], stop.signal)
  const ended = restart(run, policy)
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(start).toHaveBeenCalledTimes(1)
  await vi.waitFor(() => expect(start.mock.calls.length).toBeGreaterThan(1), 10_000)
  stop.abort()
  expect(await ended).toBe(0)
})

test('one that asks after a second or more starts at once', async () => {
  const { run, start } = runOf([
    { code: 42, ranFor: 1000 },
    { code: 0, ranFor: 0 },
  ])
  expect(await restart(run, policy)).toBe(0)
  expect(start).toHaveBeenCalledTimes(2)
})

test.each([75, 78])('%i is a crash once a worker has run: somebody may be about to mend it', async (code) => {
  const { run, start, log } = runOf([
    { code: 1, ranFor: 5000 },
    { code, ranFor: 0 },
    { code: 0, ranFor: 0 },
  ])
  expect(await restart(run, policy)).toBe(0)
  expect(start).toHaveBeenCalledTimes(3)
  expect(log()).toContain(`exit code ${code}`)
})

test.each([0, 75, 78])('%i is final at the first start', async (code) => {
  const { run, start } = runOf([{ code, ranFor: 0 }])
  expect(await restart(run, policy)).toBe(code)
  expect(start).toHaveBeenCalledTimes(1)
})

test.each([1, 64, 137, 143])('%i is a crash, and the last exit code is passed on', async (code) => {
  const { run, start, log } = runOf([{ code, ranFor: 0 }])
  expect(await restart(run, { ...policy, limit: 2 })).toBe(code)
  expect(start).toHaveBeenCalledTimes(3)
  expect(log()).toContain('giving up after 2 restart(s) in a row')
})
