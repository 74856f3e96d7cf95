import { expect, test } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import type { Run, WorkerEnd } from '../../../core/index.ts'
import { createLogger } from '../../../core/logger.ts'
import reload from '../../../plugins/reload/index.ts'
import type { ReloadOptions } from '../../../plugins/reload/index.ts'

/** Workers that end as listed; the last one ends well. */
async function supervise(ends: readonly Partial<WorkerEnd>[], options: ReloadOptions, restartDelay = 1000) {
  let log = ''
  let started = 0
  const run: Run = {
    logger: createLogger({
      level: 'info',
      format: 'pretty',
      stream: { write: (text) => ((log += text), true), isTTY: false },
    }),
    config: { ...resolveConfig({}), restartDelay },
    signal: new AbortController().signal,
    start: () => Promise.resolve({ code: 0, ranFor: 5000, ...ends[started++] }),
  }
  const code = await reload(options).supervise?.(run)
  return {
    code,
    started,
    waits: [...log.matchAll(/restart (\d+) of \d+ in (\S+) s/g)].map(([, n, s]) => `${n}:${s}`),
    log,
  }
}

const crash = { code: 1 }

test('delays follow each other, the last one repeats', async () => {
  const { waits, code } = await supervise([crash, crash, crash], { delays: [0, 100] })
  expect(waits).toEqual(['1:0', '2:0.1', '3:0.1'])
  expect(code).toBe(0)
})

test('without delays of their own they double from restartDelay', async () => {
  const { waits } = await supervise([crash, crash, crash], {}, 100)
  expect(waits).toEqual(['1:0.1', '2:0.2', '3:0.4'])
})

test('ten restarts in a row, then it gives up with the last exit code', async () => {
  const { code, started, log } = await supervise([...Array.from({ length: 10 }, () => crash), { code: 9 }], {
    delays: [0],
  })
  expect([code, started]).toEqual([9, 11])
  expect(log).toContain('giving up after 10 restart(s)')
})

test('a worker that ran long enough begins the count anew', async () => {
  const { waits, code } = await supervise([crash, crash, { code: 1, ranFor: 60_000 }, crash], { delays: [0], limit: 2 })
  expect(waits).toEqual(['1:0', '2:0', '1:0', '2:0'])
  expect(code).toBe(0)
})

test('42 neither counts nor waits', async () => {
  const { waits, started } = await supervise([{ code: 42 }, crash, { code: 42 }, crash], { delays: [0] })
  expect(waits).toEqual(['1:0', '2:0'])
  expect(started).toBe(5)
})

test('an unknown or senseless option is named', () => {
  expect(() => reload({ delay: [1] } as ReloadOptions)).toThrow(/reload.*delay/)
  expect(() => reload({ limit: -1 })).toThrow(/reload.*limit/)
})
