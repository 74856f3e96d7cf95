import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { endGroups, livingGroups } from '../../../core/process-groups/end.ts'
import { processTable } from '../../../core/processes.ts'
import { eventually } from '../../fixtures/cli/run.ts'

const opened: number[] = []

afterEach(() => {
  for (const group of opened.splice(0)) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {
      // gone, as it should be
    }
  }
})

/** A shell that leads a group of its own, once it has said `here`; resolves the rest of its line. */
async function shell(script: string): Promise<{ readonly group: number; readonly said: string }> {
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  const group = child.pid ?? 0
  opened.push(group)
  const [line] = await once(child.stdout, 'data')
  return { group, said: String(line).trim() }
}

const polite = 'echo here; exec sleep 1000'
const deaf = `trap '' TERM; sleep 1000 & echo here; wait; sleep 1000`

test('polite and deaf groups end together; a group that is none does no harm', async () => {
  const groups = await Promise.all([polite, deaf, polite, deaf].map(shell)).then((all) => all.map(({ group }) => group))
  expect(groups.every((group) => livingGroups().has(group))).toBe(true)
  expect(await endGroups([...groups, 4_000_000], { term: 300, kill: 5000 })).toEqual([])
  expect(groups.filter((group) => livingGroups().has(group))).toEqual([])
})

test.skipIf(process.platform !== 'linux')(
  'a group of zombies has ended (needs the command setsid of Linux)',
  async () => {
    // The shell becomes a sleep that never looks after the child it has: that one stays as a zombie, in a group of its own.
    const { said } = await shell(`setsid sleep 0 & echo $!; exec sleep 1000`)
    const zombie = Number(said)
    await eventually(() => processTable.find(zombie)?.zombie === true)
    expect(processTable.find(zombie)?.group).toBe(zombie)
    expect(() => process.kill(-zombie, 0)).not.toThrow()
    expect(livingGroups().has(zombie)).toBe(false)
    expect(await endGroups([zombie], { term: 1000, kill: 1000 })).toEqual([])
  },
)
