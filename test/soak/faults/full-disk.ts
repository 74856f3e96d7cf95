import { join } from 'node:path'
import type { Row, Scenario, Scene } from '../scenario.ts'
import { callInSession } from './support/callers.ts'
import { mountDisk } from './support/disk.ts'
import { openFolder } from './support/program.ts'
import { askAll, firstTrouble, rowsAbout, rowsOf, untilWorks } from './support/questions.ts'
import { readRecords } from './support/records.ts'
import { storageQuestions } from './support/storage-questions.ts'
import { isUp, killServer, killWorker, openWorld, serverOf } from './support/world.ts'

const FAULT = 'full disk'

/** The data folder has no room left, while the proxy runs and as a worker starts; then there is room again. */
export const scenario: Scenario = {
  name: 'full-disk',
  limit: () => 90_000,
  async run(_scale, scene) {
    const dir = openFolder(scene)
    const disk = mountDisk(scene, join(dir, 'data'))
    const world = await openWorld(scene, { dir, dataDir: disk.path })
    const { program, session, callBoth } = world
    const names = await toolNames(session)
    const questions = await storageQuestions(program, world.people)
    const server = serverOf(program, 'everything')

    const load = world.load()
    const free = disk.fill()
    scene.defer(free)
    const answered = await askAll(questions, program.log, /ENOSPC: no space left/)
    await load.stop()
    const from = program.log.lines.length
    const connected = await killServer(server, () => callInSession(session)).catch(String)
    const unrecorded = firstTrouble(program.log, from, /cannot be recorded/)
    const at = program.log.lines.length
    const restarted = await killWorker(world).catch(String)
    const unkept = firstTrouble(program.log, at, /ENOSPC/)

    free()
    const since = performance.now()
    const [rows, back] = await Promise.all([rowsOf(FAULT, answered, since), untilWorks(callBoth, since)])
    const moved = (await toolNames(session)).filter((name) => !names.includes(name))
    const row = rowsAbout(FAULT, back)
    return [
      row('calls go on', load.failures.length === 0, load.failures.join('; ') || 'answers', undefined, load.calls),
      ...rows,
      row('a server is connected anew', isUp(connected) && unrecorded !== undefined, connected, unrecorded),
      row('a worker starts, and knows logins and sessions', isUp(restarted), restarted, unkept),
      row('tools keep their names', moved.length === 0, moved.join(', ') || 'the same', undefined, names.length),
      await recordsRow(scene, program),
    ]
  },
}

async function toolNames(session: { request(method: string): Promise<any> }): Promise<readonly string[]> {
  return (await session.request('tools/list')).result.tools.map(({ name }: { name: string }) => name)
}

/** Ends the program and looks at what it leaves. */
async function recordsRow(scene: Scene, program: { end(): Promise<number>; readonly dataDir: string }): Promise<Row> {
  const code = await program.end()
  const { whole, damaged, litter } = await readRecords(program.dataDir)
  if (litter.length > 0) scene.say(`left behind: ${litter.join(', ')}`)
  return {
    what: `${FAULT}: no record is damaged, and the proxy ends as it is asked to`,
    amount: `${whole + damaged.length} records`,
    holds: damaged.length === 0 && code === 0,
    measured: `damaged ${damaged.length}${damaged.map((place) => `; ${place}`).join('')}; exit code ${code}; files left over ${litter.length}`,
  }
}
