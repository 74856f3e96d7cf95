import type { ConsolaInstance } from 'consola'
import { reasonOf } from '../errors.ts'
import type { Store } from '../storage.ts'
import { Names, type NameOwner } from './names.ts'

type Kept = Record<string, NameOwner>

/** How long (ms) new names are gathered before they are written. */
const GATHER = 200

/** Names of tools and prompts that stay with their owners across restarts. */
export interface KeptNames {
  readonly tools: Names
  readonly prompts: Names
  /** Writes what is not written yet. */
  close(): Promise<void>
}

/** Reads the names given in earlier runs and writes new ones as they are given. */
export async function keepNames(store: Store, limit: number, logger: ConsolaInstance): Promise<KeptNames> {
  const [tools, prompts] = await Promise.all([keep('tools'), keep('prompts')])
  return {
    tools: tools.names,
    prompts: prompts.names,
    close: async () => void (await Promise.all([tools.write(), prompts.write()])),
  }

  async function keep(kind: 'tools' | 'prompts') {
    const key = `names:${kind}`
    const names = new Names(limit, Object.entries((await store.get<Kept>(key)) ?? {}))
    let timer: NodeJS.Timeout | undefined
    let written: Promise<void> = Promise.resolve()
    /** Also waits for what is being written: after close nothing may touch the store. */
    const write = (): Promise<void> => {
      if (timer === undefined) return written
      clearTimeout(timer)
      timer = undefined
      return (written = written.then(save))
    }
    const save = async (): Promise<void> => {
      try {
        // Another process on the same store may have given names meanwhile: what is written first stays.
        const all = await store.update<Kept>(key, (kept) => ({ ...Object.fromEntries(names.owners()), ...kept }))
        names.restore(Object.entries(all ?? {}))
      } catch (error) {
        logger.warn(`names of ${kind} could not be kept: ${reasonOf(error)}`)
      }
    }
    names.onassign = () => void (timer ??= setTimeout(() => void write(), GATHER).unref())
    return { names, write }
  }
}
