import { chownSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../../harness.ts'
import type { Row, Scenario, Scene } from '../scenario.ts'
import { callInSession, openSession, wordsOf } from './support/callers.ts'
import { notRun, refusalAs, refusalOf } from './support/permission.ts'
import { ELSEWHERE, openFolder, start, type Program } from './support/program.ts'
import { askAll, firstTrouble, rowOf, rowsOf, untilWorks } from './support/questions.ts'
import { storageQuestions } from './support/storage-questions.ts'
import { isUp, killServer, openWorld, serverOf, type World } from './support/world.ts'

/** Nobody's. */
const UID = 54_321

/** What else the system may refuse: `/tmp`, the data folder, processes. */
export const scenario: Scenario = {
  name: 'beyond',
  limit: () => 120_000,
  async run(_scale, scene) {
    return [...(await foldersGone(scene)), ...(await noProcesses(scene))]
  },
}

async function foldersGone(scene: Scene): Promise<readonly Row[]> {
  const dir = openFolder(scene, ELSEWHERE)
  const dataDir = join(dir, 'data')
  const wrap = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o ro tmpfs /tmp && exec "$@"', 'sh']
  const refused = ROOT.startsWith('/tmp/')
    ? 'the proxy itself is in /tmp'
    : refusalOf('unshare', ...wrap.slice(1), 'true')
  const world = await openWorld(scene, { dir, dataDir, ...(refused === undefined && { wrap }) })
  const answers = await world.callBoth().then(() => 'answers', wordsOf)
  const what = 'it starts and answers'
  const fault = '/tmp cannot be written'
  const tmpRow =
    refused === undefined
      ? rowOf({ fault, what, holds: answers === 'answers', got: answers, line: firstTrouble(world.program.log, 0) })
      : notRun(`${fault}: ${what}`, refused)
  return [tmpRow, ...(await dataGone(scene, world))]
}

/** As when a volume is taken away for a moment: who is told `invalid_grant` then throws the login away. */
async function dataGone(scene: Scene, world: World): Promise<readonly Row[]> {
  const fault = 'data folder gone'
  const { program, people, session, callBoth } = world
  const { dataDir, log } = program
  const away = `${dataDir}-away`
  const questions = await storageQuestions(program, people)
  const server = serverOf(program, 'everything')
  const load = world.load()
  renameSync(dataDir, away)
  const answered = await askAll(questions, log, /gone/)
  await load.stop()
  const at = log.lines.length
  const restarted = await killServer(server, () => callInSession(session)).catch(wordsOf)
  const line = firstTrouble(log, at, /data/)
  scene.say(existsSync(dataDir) ? 'the data folder was made anew meanwhile' : 'the data folder was not made anew')
  rmSync(dataDir, { recursive: true, force: true })
  renameSync(away, dataDir)
  const since = performance.now()
  const [rows, back] = await Promise.all([rowsOf(fault, answered, since), untilWorks(callBoth, since)])
  const calls = load.failures.join('; ') || 'answers'
  return [
    rowOf({ fault, what: 'calls go on', holds: load.failures.length === 0, got: calls, back }),
    ...rows,
    rowOf({ fault, what: 'a server is connected anew', holds: isUp(restarted), got: restarted, line, back }),
  ]
}

/** The system has no process left for this user: a server, then a worker, cannot be started for a while. */
async function noProcesses(scene: Scene): Promise<readonly Row[]> {
  const fault = 'no process left (EAGAIN)'
  const dir = openFolder(scene, ELSEWHERE)
  if (process.getuid?.() !== 0) return [notRun(fault, 'to start the proxy as another user takes root')]
  chownSync(dir, UID, UID)
  const program = await start(scene, { dir, dataDir: join(dir, 'data'), uid: UID }).catch(wordsOf)
  if (typeof program === 'string')
    return [notRun(fault, `another user cannot start the proxy here: ${program.slice(0, 200)}`)]
  const refused = setProcesses(program.worker(), 4096)
  if (refused !== undefined) return [notRun(fault, refused)]
  const session = await openSession(program.url)
  const call = (): Promise<void> => callInSession(session)
  return [
    await withoutProcesses(program, {
      fault,
      what: 'a server cannot be started',
      victim: serverOf(program, 'everything'),
      starter: program.worker() ?? 0,
      said: /could not be started.*EAGAIN/,
      call,
    }),
    await withoutProcesses(program, {
      fault,
      what: 'a worker cannot be started',
      victim: program.worker() ?? 0,
      starter: program.supervisor,
      said: /could not be started.*EAGAIN/,
      call,
    }),
  ]
}

interface Attempt {
  readonly fault: string
  readonly what: string
  /** What is killed, and who would start it again. */
  readonly victim: number
  readonly starter: number
  readonly said: RegExp
  readonly call: () => Promise<void>
}

async function withoutProcesses(program: Program, { fault, what, victim, starter, said, call }: Attempt): Promise<Row> {
  const from = program.log.lines.length
  setProcesses(starter, 1)
  process.kill(victim, 'SIGKILL')
  const line = await program.log.next(what, from, ({ message }) => said.test(message), 10_000).catch(() => undefined)
  const got = await call().then(() => 'answers', wordsOf)
  setProcesses(starter, 4096)
  const back = await untilWorks(call, performance.now())
  return rowOf({ fault, what, holds: line !== undefined && back.startsWith('again'), got, line, back })
}

function setProcesses(pid: number | undefined, most: number): string | undefined {
  return refusalAs(UID, 'prlimit', `--pid=${pid}`, `--nproc=${most}:`)
}
