import type { Awaitable } from './plugin.ts'

/** What happens in a kernel's life. A hook that throws is logged and harms nobody. */
export interface Hooks {
  /** Every upstream that is not lazy has settled. */
  ready(): Awaitable<void>
  /** The kernel begins to close. */
  close(): Awaitable<void>
  'upstream:up'(event: { readonly name: string; readonly tools: number }): Awaitable<void>
  'upstream:down'(event: { readonly name: string; readonly reason: string }): Awaitable<void>
  'session:open'(event: { readonly principal: string; readonly client?: string }): Awaitable<void>
  'session:close'(event: { readonly principal: string }): Awaitable<void>
}
