import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { until } from '../../e2e/support/until.ts'
import type { Row, Scenario } from '../scenario.ts'
import { msOf } from '../support/numbers.ts'
import { killGroup, lives, NAME_VARIABLE } from '../support/processes.ts'
import { callInSession, wordsOf } from './support/callers.ts'
import { openClock, type Clock } from './support/clock.ts'
import { openFolder, SERVERS } from './support/program.ts'
import { expectStatus, rowOf, statusOf, untilWorks } from './support/questions.ts'
import { isUp, killServer, killWorker, openWorld, serverOf, type World } from './support/world.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const MOODY = fileURLToPath(import.meta.resolve('./support/moody-server.ts'))

/** How long (ms) without a call a server is kept that need not stay. */
const IDLE_STOP = 700
/** How long (ms) after its last call such a server, which neither hears of its end nor heeds signals, is being signalled. */
const SIGNALLED = IDLE_STOP + 2800
/** How long (ms) it may take until it is killed. */
const GONE_LIMIT = 8000

/** The clock is set on and back while the proxy runs; lives are measured by it, pauses must not be. */
export const scenario: Scenario = {
  name: 'clock',
  limit: () => 120_000,
  async run(scale, scene) {
    const dir = openFolder(scene)
    const clock = openClock(dir)
    const willing = join(dir, 'willing')
    writeFileSync(willing, '')
    const servers = serversOf(willing)
    const world = await openWorld(scene, { dir, dataDir: join(dir, 'data'), servers, env: clock.env })
    const went = await underWay(world, () => clock.jump(HOUR))
    return [
      row('+1 h under a call that tells of its progress', went === 'answered', went),
      await afterJump(world, '+1 h', scale === 1),
      await jumped(world, clock, DAY, '+1 day', true),
      await jumped(world, clock, -HOUR, '-1 h', scale === 1),
      ...(await backUnderPauses(world, clock, willing)),
      await jumped(world, clock, -DAY, '-1 day, behind the real time', scale === 1),
      ...(await behind(world)),
    ]
  },
}

function serversOf(willing: string): Readonly<Record<string, object>> {
  const lazy = { lazy: true, idleStop: IDLE_STOP }
  const moody = (name: string, ...args: string[]) => ({
    command: process.execPath,
    args: [MOODY, name, ...args],
    env: { [NAME_VARIABLE]: name },
  })
  return { ...SERVERS, flaky: { ...moody('flaky', willing), lazy: true }, stubborn: { ...moody('stubborn'), ...lazy } }
}

/** A call of a second that tells of its progress, and what is done meanwhile; resolves what came of the call. */
async function underWay({ session }: World, jump: () => Promise<void>): Promise<string> {
  const name = 'everything_trigger-long-running-operation'
  const call = { name, arguments: { duration: 1.2, steps: 6 }, _meta: { progressToken: 'soak' } }
  const [answer] = await Promise.all([session.request('tools/call', call), sleep(300).then(jump)])
  const text = String(answer?.result?.content?.[0]?.text)
  return text.startsWith('Long running operation completed') ? 'answered' : String(answer?.error?.message ?? text)
}

async function jumped(world: World, clock: Clock, ms: number, jump: string, kills: boolean): Promise<Row> {
  await clock.jump(ms)
  return afterJump(world, jump, kills)
}

/** Session, login and registration after the clock was set, and a server that is killed, if asked for. */
async function afterJump(world: World, jump: string, kills: boolean): Promise<Row> {
  const { people, login, session, callBoth } = world
  const since = performance.now()
  const got: string[] = []
  let holds = true
  const note = (what: string, came: string, right: RegExp): void => {
    got.push(`${what} ${came}`)
    holds &&= right.test(came)
  }
  const ping = await session.post({ jsonrpc: '2.0', id: 'ping', method: 'ping' })
  note('a call with the token from before', String(ping.status), /^(200|401)$/)
  note('refresh', await statusOf(await people.renew(login)), /^200$/)
  const back = await untilWorks(callBoth, since)
  note('registration', await statusOf(await people.register()), /^201$/)
  note('a new login', await people.logIn().then(() => 'done', wordsOf), /^done$/)
  if (kills) note('a killed server', await killEverything(world), /^up again/)
  const what = `${jump}: session, login and registration${kills ? ', and a server that is killed' : ''}`
  return row(what, holds && back.startsWith('again'), got.join(', '), back)
}

function killEverything({ program, session }: World): Promise<string> {
  return killServer(serverOf(program, 'everything'), () => callInSession(session)).catch(wordsOf)
}

/** A day back while one server is not asked again for a moment, and another is given a moment to end. */
async function backUnderPauses(world: World, clock: Clock, willing: string): Promise<readonly Row[]> {
  const { program } = world
  await echo(world, 'flaky')
  rmSync(willing)
  const flaky = serverOf(program, 'flaky')
  killGroup(flaky)
  await until('it is gone', () => !lives(flaky))
  await echo(world, 'stubborn')
  const stubborn = serverOf(program, 'stubborn')
  await sleep(SIGNALLED)
  const refused = await echo(world, 'flaky').then(() => 'answers', wordsOf)
  await clock.jump(-DAY)
  const since = performance.now()
  writeFileSync(willing, '')
  const back = await untilWorks(() => echo(world, 'flaky'), since)
  const after = await afterJump(world, '-1 day', true)
  const gone = await until('it is gone', () => !lives(stubborn), GONE_LIMIT).then(() => 'gone', wordsOf)
  if (lives(stubborn)) killGroup(stubborn)
  return [
    row('-1 day while a server that failed is not asked again', back.startsWith('again'), refused, back),
    after,
    row('-1 day while a server is given time to end', gone === 'gone', `the server is ${gone}`),
  ]
}

/** Another worker, and the end, under a clock that is a day behind what was written. */
async function behind(world: World): Promise<readonly Row[]> {
  const { program, people, login, callBoth } = world
  const renewed = async (): Promise<void> => {
    await expectStatus(await people.renew(login), 200)
    await callBoth()
  }
  const restarted = await killWorker({ program, callBoth: renewed }).catch(wordsOf)
  const began = performance.now()
  const code = await program.end()
  const took = msOf(performance.now() - began)
  return [
    row('-1 day: another worker knows logins and sessions', isUp(restarted), restarted),
    row('-1 day: it ends as it is asked to', code === 0, `exit code ${code} after ${took}`),
  ]
}

async function echo({ session }: World, server: string): Promise<void> {
  const call = { name: `${server}_echo`, arguments: { text: 'hello' } }
  const { result, error } = await session.request('tools/call', call)
  if (result?.content?.[0]?.text !== 'hello') throw new Error(String(error?.message ?? JSON.stringify(result)))
}

function row(what: string, holds: boolean, got: string, back?: string): Row {
  return rowOf({ fault: 'clock', what, holds, got, back })
}
