import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createProcessGroups, killOwnGroups, reapGroups } from '../../core/process-groups.ts'
import { processTable } from '../../core/processes.ts'
import { dispose, eventually, folder, isRunning } from '../fixtures/cli/run.ts'

interface Family {
  readonly process: ChildProcess
  readonly leader: number
  readonly child: number
}

const families: Family[] = []

afterEach(async () => {
  for (const { leader } of families.splice(0)) {
    try {
      process.kill(-leader, 'SIGKILL')
    } catch {
      // gone, as it should be
    }
  }
  await dispose()
})

async function startFamily(...traits: string[]): Promise<Family> {
  const file = new URL('../fixtures/cli/family.ts', import.meta.url).pathname
  const started = spawn(process.execPath, [file, ...traits], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  const gone = once(started, 'exit')
  const [line] = await once(started.stdout, 'data')
  const [, leader, child] = /family (\d+) (\d+)/.exec(String(line)) ?? []
  if (traits.includes('orphan')) await gone
  const family = { process: started, leader: Number(leader), child: Number(child) }
  families.push(family)
  return family
}

/** Records a family as if another process had: one that is dead unless `owner` says otherwise. */
async function recordFor(
  dataDir: string,
  leader: number,
  change: (record: any) => void = () => undefined,
): Promise<string> {
  createProcessGroups(dataDir).record(leader)
  const name = (await readdir(join(dataDir, 'groups'))).find((file) => file.startsWith(`${leader}-`)) ?? ''
  const path = join(dataDir, 'groups', name)
  const record = JSON.parse(await readFile(path, 'utf8'))
  record.owner = { pid: record.owner.pid, start: 'another one' }
  change(record)
  await writeFile(path, JSON.stringify(record))
  return path
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

test('a record is private and goes when the group does', async () => {
  const dataDir = join(await folder(), 'data')
  const { leader } = await startFamily()
  const forget = createProcessGroups(dataDir).record(leader)
  const [name = ''] = await readdir(join(dataDir, 'groups'))
  const { mode } = await stat(join(dataDir, 'groups', name))
  expect(mode & 0o777).toBe(0o600)
  expect((await stat(join(dataDir, 'groups'))).mode & 0o777).toBe(0o700)
  forget()
  forget()
  expect(await readdir(join(dataDir, 'groups'))).toEqual([])
})

test('a folder that cannot be written is warned about, not thrown', async () => {
  const file = join(await folder(), 'file')
  await writeFile(file, '')
  const warnings: string[] = []
  const logger = { warn: (text: string) => warnings.push(text), info: () => undefined }
  createProcessGroups(file, logger as never).record(process.pid)()
  expect(warnings.join()).toContain('cannot be recorded')
})

test('a group of a dead owner ends, grandchildren that ignore SIGTERM included', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily('stubborn')
  const path = await recordFor(dataDir, leader)
  expect(await reapGroups(dataDir)).toBe(1)
  expect([leader, child].filter(isRunning)).toEqual([])
  expect(await exists(path)).toBe(false)
})

test('a group of a living owner is left alone', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily()
  createProcessGroups(dataDir).record(leader)
  expect(await reapGroups(dataDir)).toBe(0)
  expect([leader, child].filter(isRunning)).toEqual([leader, child])
})

test('members end also when their leader has gone before', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily('orphan')
  await recordFor(dataDir, leader, (record) => (record.leader.start = 'long ago'))
  expect(isRunning(leader)).toBe(false)
  expect(await reapGroups(dataDir)).toBe(1)
  expect(isRunning(child)).toBe(false)
})

test('without a leader and with too many ids handed out since, nobody is touched and it is said', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily('orphan')
  const path = await recordFor(dataDir, leader, (record) => (record.issued = -(2 ** 40)))
  const warnings: string[] = []
  const logger = { warn: (text: string) => warnings.push(text), info: () => undefined }
  expect(await reapGroups(dataDir, { logger: logger as never })).toBe(0)
  expect(isRunning(child)).toBe(true)
  expect(warnings.join()).toContain(`kill -- -${leader}`)
  expect(await exists(path)).toBe(true)
})

test('… unless the owner was just seen to end', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily('orphan')
  await recordFor(dataDir, leader, (record) => {
    record.issued = -(2 ** 40)
    record.owner.pid = 4_000_000
  })
  expect(await reapGroups(dataDir, { ended: 4_000_000 })).toBe(1)
  expect(isRunning(child)).toBe(false)
})

test('a stranger with the same id is not touched', async () => {
  const dataDir = await folder()
  const { leader, child } = await startFamily()
  const path = await recordFor(dataDir, leader, (record) => (record.leader.start = 'another one'))
  expect(await reapGroups(dataDir)).toBe(0)
  expect([leader, child].filter(isRunning)).toEqual([leader, child])
  expect(await exists(path)).toBe(false)
})

test('after a reboot a record means nothing; in another container it is not ours to judge', async () => {
  const dataDir = await folder()
  const { leader } = await startFamily()
  const rebooted = await recordFor(dataDir, leader, (record) => (record.boot = 'another one'))
  expect(await reapGroups(dataDir)).toBe(0)
  expect(await exists(rebooted)).toBe(false)
  const elsewhere = await recordFor(dataDir, leader, (record) => (record.namespace = 'another one'))
  expect(await reapGroups(dataDir)).toBe(0)
  expect(await exists(elsewhere)).toBe(true)
  expect(isRunning(leader)).toBe(true)
})

test('a torn record and a missing folder harm nobody', async () => {
  const dataDir = await folder()
  expect(await reapGroups(dataDir)).toBe(0)
  const { leader } = await startFamily()
  await recordFor(dataDir, leader)
  await writeFile(join(dataDir, 'groups', '1-torn.json'), '{"leader":{"pid":1')
  expect(await reapGroups(dataDir)).toBe(1)
})

test('the last breath kills what this process started and nothing else', async () => {
  const dataDir = await folder()
  const mine = await startFamily('stubborn')
  const others = await startFamily('stubborn')
  createProcessGroups(dataDir).record(mine.leader)
  await recordFor(dataDir, others.leader)
  killOwnGroups(dataDir)
  await eventually(() => !isRunning(mine.leader) && !isRunning(mine.child))
  expect([others.leader, others.child].filter(isRunning)).toEqual([others.leader, others.child])
  expect(processTable.all().some(({ group, zombie }) => group === mine.leader && !zombie)).toBe(false)
})
