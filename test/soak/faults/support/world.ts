import type { LegacyWire } from '../../../harness.ts'
import { until } from '../../../e2e/support/until.ts'
import type { Scene } from '../../scenario.ts'
import { msOf } from '../../support/numbers.ts'
import { killGroup, leadersByServer, lives } from '../../support/processes.ts'
import { callInSession, callModern, openSession, startLoad, withLogin, type Load } from './callers.ts'
import { addPeople, LOGIN, peopleOf, type Login, type People } from './people.ts'
import { start, type Program, type ProgramOptions } from './program.ts'

/** A program with login, its people, and calls of both eras that go on whatever is done to it. */
export interface World {
  readonly program: Program
  readonly people: People
  /** Whose calls they are. */
  readonly login: Login
  readonly session: LegacyWire
  /** A call in that session, and one without. */
  callBoth(): Promise<void>
  /** Lets both eras call until it is stopped. */
  load(): Load
}

/** How long (ms) a killed worker or server may take to be there again. */
const RETURN_LIMIT = 30_000

/** Starts the program on a data folder that gets a user first, and logs them in. */
export async function openWorld(scene: Scene, options: ProgramOptions): Promise<World> {
  await addPeople(options.dataDir)
  const program = await start(scene, { ...options, env: { ...LOGIN, ...options.env } })
  return enterWorld(program)
}

/** The same for a program that runs already; `login`: one that somebody has. */
export async function enterWorld(program: Program, known?: Pick<World, 'login' | 'session'>): Promise<World> {
  const people = peopleOf(program.origin)
  const login = known?.login ?? (await people.logIn())
  const session = known?.session ?? (await openSession(program.url, withLogin(login)))
  return {
    program,
    people,
    login,
    session,
    async callBoth() {
      await callInSession(session)
      await callModern(program.url, withLogin(login))
    },
    load: () => startLoad([() => callInSession(session), () => callModern(program.url, withLogin(login))]),
  }
}

/** Kills the worker at once; resolves how long it took until session, login and servers were good again, in words. */
export async function killWorker({ program, callBoth }: Pick<World, 'program' | 'callBoth'>): Promise<string> {
  const before = program.worker()
  if (before === undefined) throw new Error('there is no worker')
  const began = performance.now()
  process.kill(before, 'SIGKILL')
  await until('the worker is gone', () => !lives(before), RETURN_LIMIT)
  await until('a new worker answers', () => callBoth().then(yes, no), RETURN_LIMIT)
  return `up again after ${msOf(performance.now() - began)}`
}

/** Kills a server at once; resolves how long it took until `call` was answered again, in words. */
export async function killServer(pid: number, call: () => Promise<void>): Promise<string> {
  const began = performance.now()
  killGroup(pid)
  await until('the server is gone', () => !lives(pid), RETURN_LIMIT)
  await until('the server answers again', () => call().then(yes, no), RETURN_LIMIT)
  return `up again after ${msOf(performance.now() - began)}`
}

/** Whether that is what came of it, and no error. */
export function isUp(came: string): boolean {
  return came.startsWith('up again')
}

/** The process of a server that the program has on record; throws where there is none. */
export function serverOf(program: Program, name: string): number {
  const [pid] = leadersByServer(program.dataDir).get(name) ?? []
  if (pid === undefined) throw new Error(`no process of server "${name}" is on record`)
  return pid
}

const yes = (): true => true
const no = (): false => false
