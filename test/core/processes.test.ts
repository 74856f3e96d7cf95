import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { pidLimit, pidSpace, pidsIssued, procTable, processTable, psTable } from '../../core/processes.ts'

const onLinux = process.platform === 'linux'

test('finds this process, always with the same start', () => {
  const info = processTable.find(process.pid)
  expect(info).toMatchObject({ pid: process.pid, zombie: false })
  expect(info?.start).not.toBe('')
  expect(processTable.find(process.pid)).toEqual(info)
})

test('knows the group of a child, and nothing of a process that is gone', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
  const pid = child.pid ?? 0
  expect(processTable.find(pid)?.group).toBe(pid)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(processTable.find(pid)).toBeUndefined()
})

test.runIf(onLinux)('ps and /proc agree (Linux: only it has /proc)', () => {
  const fromPs = psTable.find(process.pid)
  expect(fromPs).toMatchObject({ pid: process.pid, group: procTable.find(process.pid)?.group, zombie: false })
  expect(fromPs?.start).toMatch(/\d{4}$/)
  expect(psTable.all().map(({ pid }) => pid)).toContain(process.pid)
  expect(psTable.find(2 ** 22 + 1)).toBeUndefined()
})

test.runIf(onLinux)('the number of ids handed out grows with every process (Linux: /proc counts them)', async () => {
  const before = pidsIssued() ?? 0
  await once(spawn('true'), 'exit')
  expect(pidsIssued()).toBeGreaterThan(before)
  expect(pidLimit()).toBeGreaterThan(300)
  expect(pidSpace().boot).not.toBe('')
})
