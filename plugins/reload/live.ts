import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { EXIT, reasonOf } from '../../core/index.ts'
import type { ConfigChange, NextConfig, PluginContext } from '../../core/index.ts'
import { createDebounce } from './debounce.ts'

/** How a change reaches the proxy: in the running process where that can be, or always by starting anew. */
export type Strategy = 'apply' | 'restart'

export interface LiveOptions {
  readonly strategy: Strategy
  /** How long (ms) the files must rest before they are read. */
  readonly debounce: number
}

/** What of a plugin's context live reload needs. */
type Context = Pick<PluginContext, 'config' | 'logger' | 'signal' | 'watch' | 'evaluate' | 'apply' | 'exit'>

/** Keeps the running proxy as its files say. */
export interface LiveReload {
  /** Watches the files the configuration was read from, and those that would be read if they were there. */
  watch(): void
  /** Reads them now. */
  now(): void
}

/**
 * Reads an edited configuration in a process of its own and takes it over: servers in the running process, anything else by exit
 * code 42. What could not be started with is refused whole: one line in the log, and everything stays as it is.
 */
export function createLiveReload(context: Context, { strategy, debounce }: LiveOptions): LiveReload {
  const { logger, signal } = context
  const watched = new Set<string>()
  let { files } = context.config
  const reading = createDebounce(debounce, signal, read)

  async function read(): Promise<void> {
    try {
      await takeOver(await context.evaluate())
    } catch (error) {
      if (signal.aborted) return
      const reason = reasonOf(error).replaceAll(/\s*\n\s*/g, '; ')
      logger.error(`the edited configuration is refused, the proxy goes on with the one before: ${reason}`)
    }
  }

  async function takeOver(next: NextConfig): Promise<void> {
    const gone = files.find((file) => !next.files.includes(file) && !existsSync(file))
    if (gone !== undefined)
      throw new Error(`${gone} is gone; put it back, or end the proxy and start it without the file`)
    const { beyond } = next.change
    const isSame = describe(next.change) === '' && beyond.length === 0
    if (isSame) logger.info('the configuration was read again: nothing in it has changed')
    else if (beyond.length > 0) return context.exit(EXIT.reload, `the configuration has changed (${beyond.join(', ')})`)
    else if (strategy === 'restart') return context.exit(EXIT.reload, 'the configuration has changed')
    else {
      await context.apply(next)
      logger.info(`the configuration was applied: ${describe(next.change)}`)
    }
    files = next.files
    if (watched.size > 0) watch(next.watchFiles)
  }

  function watch(paths: readonly string[]): void {
    for (const path of paths) {
      if (watched.has(path)) continue
      watched.add(path)
      context.watch(path, () => {
        logger.debug(`${basename(path)} was touched`)
        reading.soon()
      })
    }
  }

  return { watch: () => watch(context.config.watchFiles), now: reading.now }
}

/** `new: a, b; gone: c`, or nothing. */
function describe({ added, removed, changed }: ConfigChange): string {
  const parts = [['new', added] as const, ['gone', removed] as const, ['changed', changed] as const]
  return parts.flatMap(([what, names]) => (names.length === 0 ? [] : [`${what}: ${names.join(', ')}`])).join('; ')
}
