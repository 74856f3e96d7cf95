import { setTimeout as sleep } from 'node:timers/promises'
import { startEverything, type EverythingServer } from '../../e2e/support/everything.ts'
import type { Scene } from '../scenario.ts'
import { killGroup, leadersByServer } from './processes.ts'
import { freePort } from './ports.ts'
import type { Random } from './random.ts'

/** How long (ms) a server elsewhere stays away. */
const AWAY = 500

export interface Killer {
  readonly kills: number
  /** Resolves once everything it has killed elsewhere is there again. */
  stop(): Promise<void>
}

export interface KillerOptions {
  /** Programs the proxy has started, by the server they are. */
  readonly programs: readonly string[]
  readonly dataDir: string
  /** Servers elsewhere that come back to their port. */
  readonly elsewhere: ReadonlyMap<string, MortalServer>
  readonly random: Random
  /** How often (ms) something is killed. */
  readonly period: number
  /** Told the moment before a server is killed; what it returns is called the moment after. */
  readonly onkill: (server: string) => () => void
}

/** Kills one of the servers that run, all of its processes, now and then until it is told to stop. */
export function startKiller({ programs, dataDir, elsewhere, random, period, onkill }: KillerOptions): Killer {
  const away = new Map<string, Promise<void>>()
  let kills = 0
  let isStopped = false

  /** What runs, by the server it is, and how it is killed. */
  function victims(): readonly (readonly [server: string, kill: () => void])[] {
    const running = leadersByServer(dataDir)
    return [
      ...programs.flatMap((name) => {
        const leaders = running.get(name)
        return leaders === undefined ? [] : [[name, () => leaders.forEach(killGroup)] as const]
      }),
      ...[...elsewhere]
        .filter(([name]) => !away.has(name))
        .map(([name, server]) => [name, () => void away.set(name, back(name, server))] as const),
    ]
  }

  async function back(name: string, server: MortalServer): Promise<void> {
    await server.die()
    away.delete(name)
  }

  async function killOn(): Promise<void> {
    while (!isStopped) {
      await sleep(period)
      const candidates = isStopped ? [] : victims()
      if (candidates.length === 0) continue
      const [server, kill] = random.pick(candidates)
      const done = onkill(server)
      kill()
      done()
      kills++
    }
  }

  const killing = killOn()
  return {
    get kills() {
      return kills
    },
    async stop() {
      isStopped = true
      await killing
      await Promise.all(away.values())
    },
  }
}

/** A server elsewhere that can be killed. */
export interface MortalServer {
  readonly url: string
  /** Kills it at once; resolves once it listens again, on the same port. */
  die(): Promise<void>
}

/** The official example server over Streamable HTTP; the scene ends it. */
export async function startMortal(scene: Scene): Promise<MortalServer> {
  let running: EverythingServer = await startEverything(await freePort())
  scene.defer(() => running.kill())
  return {
    url: running.url,
    async die() {
      await running.kill()
      await sleep(AWAY)
      running = await startEverything(running.port)
    },
  }
}
