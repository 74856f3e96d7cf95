import { existsSync, statSync } from 'node:fs'
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
  /** When this process began to read them, in ms since the epoch: whether that was before or after a later edit, nobody knows. */
  readonly since?: number
}

/** What of a plugin's context live reload needs. */
type Context = Pick<PluginContext, 'config' | 'logger' | 'signal' | 'watch' | 'evaluate' | 'apply' | 'exit'>

/** Keeps the running proxy as its files say. */
export interface LiveReload {
  /** Watches the files the configuration was read from, and those that would be read if they were there. */
  watch(): void
  /** Reads them now. */
  now(): void
  /** The proxy is closing: nothing is read or said any more. */
  end(): void
}

/**
 * Reads an edited configuration in a process of its own and takes it over: servers in the running process, anything else by exit
 * code 42. What could not be started with is refused whole: one line in the log, and everything stays as it is.
 */
export function createLiveReload(context: Context, options: LiveOptions): LiveReload {
  const { strategy, debounce, since = performance.timeOrigin } = options
  const { logger } = context
  const ending = new AbortController()
  const signal = AbortSignal.any([context.signal, ending.signal])
  const watched = new Set<string>()
  let { files } = context.config
  const reading = createDebounce(debounce, signal, read)

  async function read(): Promise<void> {
    try {
      await takeOver(await evaluate())
    } catch (error) {
      if (signal.aborted) return
      const reason = reasonOf(error)
        .trim()
        .replaceAll(/\s*\n\s*/g, '; ')
      logger.error(`the edited configuration is refused, the proxy goes on with the one before: ${reason}`)
    }
  }

  /** A file that is replaced in two steps is away for a moment: where that was just now, they are read again. */
  async function evaluate(): Promise<NextConfig> {
    const next = await context.evaluate()
    const isBack = files.some((file) => !next.files.includes(file) && existsSync(file))
    return isBack ? context.evaluate() : next
  }

  async function takeOver(next: NextConfig): Promise<void> {
    const gone = files.find((file) => !next.files.includes(file) && !existsSync(file))
    if (gone !== undefined)
      throw new Error(`${gone} is gone; put it back, or end the proxy and start it without the file`)
    const servers = describe(next.change)
    const beyond = next.change.beyond.join(', ')
    if (beyond !== '' || (strategy === 'restart' && servers !== '')) {
      const what = [beyond, servers].filter((part) => part !== '').join('; ')
      return context.exit(EXIT.reload, `the configuration has changed (${what})`)
    }
    // Also where all servers are the same: there may be something to warn about.
    await context.apply(next)
    if (servers === '') logger.info('the configuration was read again: nothing in it has changed')
    else logger.info(`the configuration was applied: ${servers}`)
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

  return {
    watch() {
      const { watchFiles } = context.config
      watch(watchFiles)
      // What was edited before it was first looked at would not be told of.
      if (watchFiles.some((file) => isTouchedSince(file, since))) reading.soon()
    },
    now: reading.now,
    end: () => ending.abort(),
  }
}

function isTouchedSince(file: string, since: number): boolean {
  try {
    const { mtimeMs, ctimeMs } = statSync(file)
    return Math.max(mtimeMs, ctimeMs) > since
  } catch {
    return false // it is not there, or cannot be looked at
  }
}

/** `new: a, b; gone: c`, or nothing. */
function describe({ added, removed, changed }: ConfigChange): string {
  const parts = [['new', added] as const, ['gone', removed] as const, ['changed', changed] as const]
  return parts.flatMap(([what, names]) => (names.length === 0 ? [] : [`${what}: ${names.join(', ')}`])).join('; ')
}
