import { expect, test } from 'vitest'
import { createGate } from '../../../plugins/transport-sse/gate.ts'

/** Work that ends when told. */
function job() {
  let end: (error?: Error) => void = () => {}
  const ended = new Promise<void>((resolve, reject) => (end = (error) => (error ? reject(error) : resolve())))
  return { ended, end: (error?: Error) => end(error) }
}

test('lets in as many as fit, the others in the order they came, also after failures', async () => {
  const gate = createGate('x', 2, 1_000_000)
  const jobs = Array.from({ length: 5 }, job)
  const started: number[] = []
  const results = jobs.map(({ ended }, index) =>
    gate.pass(10, () => {
      started.push(index)
      return ended
    }),
  )
  const settled = Promise.allSettled(results)
  expect(started).toEqual([0, 1])
  jobs[1]?.end(new Error('no'))
  await results[1]?.catch(() => {})
  await Promise.resolve()
  expect(started).toEqual([0, 1, 2])
  for (const { end } of jobs) end()
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', ...Array(3).fill('fulfilled')])
  expect(started).toEqual([0, 1, 2, 3, 4])
})

test('refuses what would be too much to hold, and takes it again later', async () => {
  const gate = createGate('the server', 1, 10_000)
  const first = job()
  const running = gate.pass(1, () => first.ended)
  const waiting = gate.pass(6000, async () => 'waited')
  await expect(gate.pass(6000, async () => 'never')).rejects.toMatchObject({
    name: 'ConnectionError',
    delivered: false,
    lost: false,
    message: expect.stringContaining('the server does not take what it is sent'),
  })
  first.end()
  await running
  expect(await waiting).toBe('waited')
  expect(await gate.pass(6000, async () => 'again')).toBe('again')
})

test('one that is larger than all that may wait is let in', async () => {
  const gate = createGate('x', 1, 10)
  const first = job()
  const running = gate.pass(1, () => first.ended)
  const large = gate.pass(1_000_000, async () => 'large')
  first.end()
  await running
  expect(await large).toBe('large')
})
