import { createHash } from 'node:crypto'

/** Who an exposed name belongs to: server and the server's own name for it. */
export type NameOwner = readonly [server: string, name: string]

/**
 * Gives tools or prompts the names that clients see: `[A-Za-z0-9_-]`, at most `limit` characters.
 * A name once given stays with its owner, also across restarts when `owners` is kept; whoever comes later gets another one.
 */
export class Names {
  readonly #owners: Map<string, NameOwner>
  readonly #limit: number
  /** Called after a name was given to a new owner. */
  onassign: (() => void) | undefined

  constructor(limit: number, owners: Iterable<readonly [string, NameOwner]> = []) {
    this.#limit = limit
    this.#owners = new Map(owners)
  }

  /** Exposed name → owner, for keeping. */
  owners(): ReadonlyMap<string, NameOwner> {
    return this.#owners
  }

  /** Takes over owners kept by an earlier run; names already given here win. */
  restore(owners: Iterable<readonly [string, NameOwner]>): void {
    for (const [exposed, owner] of owners) if (!this.#owners.has(exposed)) this.#owners.set(exposed, owner)
  }

  /** The exposed name of a server's tool; `prefix: false` asks for the bare name. */
  assign(server: string, prefix: string | false, name: string): string {
    for (const wish of this.#wishes(server, prefix, name)) {
      const owner = this.#owners.get(wish)
      if (owner !== undefined) {
        if (owner[0] === server && owner[1] === name) return wish
        continue
      }
      this.#owners.set(wish, [server, name])
      this.onassign?.()
      return wish
    }
    throw new Error(`names: no free name for "${name}" of server "${server}"`)
  }

  *#wishes(server: string, prefix: string | false, name: string): Generator<string> {
    const prefixed = clean(`${prefix === false ? server : prefix}_${name}`)
    if (prefix === false && fits(clean(name), this.#limit)) yield clean(name)
    if (fits(prefixed, this.#limit)) yield prefixed
    const digest = createHash('sha256').update(`${server}\0${name}`).digest('hex')
    for (const length of [8, 16, 32]) {
      const hash = digest.slice(0, Math.min(length, this.#limit - 1))
      yield `${prefixed.slice(0, this.#limit - hash.length - 1)}_${hash}`
    }
  }
}

function clean(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_')
}

function fits(name: string, limit: number): boolean {
  return name.length > 0 && name.length <= limit
}
