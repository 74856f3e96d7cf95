import type { ConsolaInstance } from 'consola'
import { reasonOf } from './errors.ts'
import type { Awaitable } from './plugin.ts'

/** What happens in a kernel's life. A hook that throws is logged and harms nobody. */
export interface Hooks {
  /** Every upstream that is not lazy has settled. */
  ready(): Awaitable<void>
  /** The process was told to read its configuration anew (SIGHUP). Where no plugin has this hook, it starts anew instead. */
  reload(): Awaitable<void>
  /** Other servers are there: names of those that are new, gone, or different. */
  'config:change'(event: {
    readonly added: readonly string[]
    readonly removed: readonly string[]
    readonly changed: readonly string[]
  }): Awaitable<void>
  /** The kernel begins to close. */
  close(): Awaitable<void>
  'upstream:up'(event: { readonly name: string; readonly tools: number }): Awaitable<void>
  'upstream:down'(event: { readonly name: string; readonly reason: string }): Awaitable<void>
  'session:open'(event: { readonly principal: string; readonly client?: string }): Awaitable<void>
  'session:close'(event: { readonly principal: string }): Awaitable<void>
}

/** Runs hooks of all plugins, in order; never throws, never waits. */
export interface HookRunner {
  run<K extends keyof Hooks>(name: K, ...event: Parameters<Hooks[K]>): void
  /** Whether some plugin has this hook. */
  has(name: keyof Hooks): boolean
}

/** A hook that throws is logged with its plugin's name. */
export function createHookRunner(
  hooks: readonly { readonly plugin: string; readonly hooks: Partial<Hooks> }[],
  logger: ConsolaInstance,
): HookRunner {
  return {
    has: (name) => hooks.some(({ hooks: own }) => own[name] !== undefined),
    run(name, ...event) {
      for (const { plugin, hooks: own } of hooks) {
        const hook = own[name] as ((...event: unknown[]) => Awaitable<void>) | undefined
        if (hook === undefined) continue
        const report = (error: unknown) => logger.error(`hook ${name} of plugin "${plugin}" failed: ${reasonOf(error)}`)
        try {
          void Promise.resolve(hook(...event)).catch(report)
        } catch (error) {
          report(error)
        }
      }
    },
  }
}
