import type { Keys } from '../keys.ts'
import { isObject } from '../wire/jsonrpc.ts'

/** What a `requestState` of ours holds (2026-07-28 basic/patterns/mrtr). */
type RequestState =
  /** A call that waits here for its client. Good for one retry: of the round it was given out with. */
  | { readonly kind: 'parked'; readonly handle: string; readonly round: number; readonly expires: number }
  /** What a server gave out, byte for byte. */
  | { readonly kind: 'server'; readonly state: string; readonly expires: number }

/** The request that a state belongs to: with any other it does not open. */
interface Bound {
  /** See `ownerOf`. */
  readonly owner: string
  readonly method: string
  /** What `Mcp-Name` mirrors. */
  readonly name: string | undefined
}

/** Seals states, so that nobody can read, change or lend one. */
export interface States {
  seal(state: RequestState, bound: Bound): string
  /** `undefined`: not ours, not of this request, or expired. */
  open(sealed: string, bound: Bound): RequestState | undefined
}

export function createStates(keys: Keys): States {
  return {
    seal: (state, bound) => keys.seal('state', JSON.stringify(state), contextOf(bound)),
    open(sealed, bound) {
      const text = keys.open('state', sealed, contextOf(bound))
      const state = text === undefined ? undefined : read(text)
      return state === undefined || state.expires <= Date.now() ? undefined : state
    },
  }
}

/** As JSON, since names may hold any character: two requests never look the same. */
function contextOf({ owner, method, name }: Bound): string {
  return JSON.stringify([owner, method, name ?? null])
}

/** It has been sealed here, but perhaps by another version of this program. */
function read(text: string): RequestState | undefined {
  const value: unknown = JSON.parse(text)
  if (!isObject(value)) return undefined
  const { kind, expires, handle, round, state } = value
  if (typeof expires !== 'number') return undefined
  if (kind === 'parked' && typeof handle === 'string' && typeof round === 'number') {
    return { kind, handle, round, expires }
  }
  return kind === 'server' && typeof state === 'string' ? { kind, state, expires } : undefined
}
