import { mkdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import type { Row, Scenario, Scene } from '../scenario.ts'
import { msOf } from '../support/numbers.ts'
import { callInSession } from './support/callers.ts'
import { mountDisk } from './support/disk.ts'
import { LOGIN } from './support/people.ts'
import { launch, openFolder, start, type ProgramOptions } from './support/program.ts'
import { askAll, firstTrouble, rowOf, rowsAbout, rowsOf, untilWorks } from './support/questions.ts'
import { storageQuestions } from './support/storage-questions.ts'
import { enterWorld, isUp, killServer, openWorld, serverOf } from './support/world.ts'

const FAULT = 'read-only data folder'

/** The data folder cannot be written any more while the proxy runs, and as it starts; then it can again. */
export const scenario: Scenario = {
  name: 'read-only',
  limit: () => 90_000,
  async run(_scale, scene) {
    const dir = openFolder(scene)
    const disk = mountDisk(scene, join(dir, 'data'))
    const first = await openWorld(scene, { dir, dataDir: disk.path })
    const questions = await storageQuestions(first.program, first.people)
    const server = serverOf(first.program, 'everything')

    const load = first.load()
    leaveDraft(disk.path)
    disk.setReadOnly(true)
    scene.defer(() => disk.setReadOnly(false))
    const answered = await askAll(questions, first.program.log, /EROFS: read-only/)
    await load.stop()
    const from = first.program.log.lines.length
    const connected = await killServer(server, () => callInSession(first.session)).catch(String)
    const unrecorded = firstTrouble(first.program.log, from, /cannot be recorded/)
    const code = await first.program.end()

    const options = { dir, dataDir: disk.path, port: first.program.port, env: LOGIN }
    const { second, took } = await startAgain(scene, options)
    const { callBoth, people } = await enterWorld(second, first)
    const known = await callBoth().then(() => `answers, ready ${took}`, String)
    // Its first write, which tidies up what others have left.
    await people.register()
    const unwritten = firstTrouble(second.log, 0, /EROFS/)

    disk.setReadOnly(false)
    const since = performance.now()
    const [rows, back] = await Promise.all([rowsOf(FAULT, answered, since), untilWorks(callBoth, since)])
    const row = rowsAbout(FAULT, back)
    return [
      row('calls go on', load.failures.length === 0, load.failures.join('; ') || 'answers', undefined, load.calls),
      ...rows,
      row('a server is connected anew', isUp(connected) && unrecorded !== undefined, connected, unrecorded),
      row('the proxy ends as it is asked to', code === 0, `exit code ${code}`),
      row('it starts, and knows logins and sessions', known.startsWith('answers'), known, unwritten),
      await emptyRow(scene, dir),
    ]
  },
}

/** What a process that was killed hours ago was about to write: the next one tidies it away, which it cannot either. */
function leaveDraft(dataDir: string): void {
  const draft = join(dataDir, 'store/.tmp/of-a-killed-process')
  mkdirSync(draft, { recursive: true })
  const then = new Date(Date.now() - 2 * 3_600_000)
  utimesSync(draft, then, then)
}

async function startAgain(scene: Scene, options: ProgramOptions) {
  const began = performance.now()
  const second = await start(scene, options)
  return { second, took: `after ${msOf(performance.now() - began)}` }
}

/** There is nothing in the folder, and nothing can be put into it: no secret, no start. */
async function emptyRow(scene: Scene, dir: string): Promise<Row> {
  const disk = mountDisk(scene, join(dir, 'empty'))
  disk.setReadOnly(true)
  const program = await launch(scene, { dir: join(dir, 'second'), dataDir: disk.path, env: LOGIN })
  const code = await program.ended
  const line = program.log.lines.find(({ message }) => message.includes('MCP_DATA_DIR'))
  return rowOf({
    fault: FAULT,
    what: 'empty, it refuses to start and says what to do',
    holds: code === 78 && line !== undefined,
    got: `exit code ${code}`,
    line,
  })
}
