import type { AccessPolicy, AuthProvider } from './auth.ts'
import { ProxyError } from './errors.ts'
import type { Hooks } from './hooks.ts'
import type { Middleware } from './middleware.ts'
import type { Command, Contribution, Route } from './plugin.ts'
import type { StorageDriver } from './storage.ts'
import type { TransportAdapter } from './transport.ts'

/** A plugin's name and what its set-up returned. */
export interface Contributed {
  readonly name: string
  readonly contribution: Contribution
}

/** Every slot, filled. */
export interface Slots {
  readonly auth: readonly AuthProvider[]
  readonly access?: AccessPolicy
  readonly storage?: StorageDriver
  readonly transports: readonly TransportAdapter[]
  readonly middleware: readonly Middleware[]
  readonly routes: readonly Route[]
  readonly hooks: readonly { readonly plugin: string; readonly hooks: Partial<Hooks> }[]
  readonly commands: readonly Command[]
}

/** Puts contributions into their slots. Throws `ProxyError`, naming both plugins, where two want the same place. */
export function fillSlots(contributed: readonly Contributed[]): Slots {
  const access = single(contributed, 'access')
  const storage = single(contributed, 'storage')
  return {
    ...(access && { access }),
    ...(storage && { storage }),
    auth: contributed.flatMap(({ contribution }) => contribution.auth ?? []),
    middleware: contributed.flatMap(({ contribution }) => contribution.middleware ?? []),
    hooks: contributed.flatMap(({ name, contribution }) =>
      contribution.hooks ? [{ plugin: name, hooks: contribution.hooks }] : [],
    ),
    transports: distinct(contributed, 'transports', (adapter) => [adapter.type, ...(adapter.aliases ?? [])]),
    routes: distinct(contributed, 'routes', (route) => [`${route.method?.toUpperCase() ?? 'any'} ${route.path}`]),
    commands: distinct(contributed, 'commands', (command) => [command.name]),
  }
}

function single<K extends 'access' | 'storage'>(
  contributed: readonly Contributed[],
  slot: K,
): Contribution[K] | undefined {
  const [first, second] = contributed.filter(({ contribution }) => contribution[slot] !== undefined)
  if (first !== undefined && second !== undefined) throw conflict(slot, first.name, second.name)
  return first?.contribution[slot]
}

type ListSlot = 'transports' | 'routes' | 'commands'
type ItemOf<K extends ListSlot> = NonNullable<Contribution[K]>[number]

function distinct<K extends ListSlot>(
  contributed: readonly Contributed[],
  slot: K,
  keysOf: (item: ItemOf<K>) => readonly string[],
): readonly ItemOf<K>[] {
  const owners = new Map<string, string>()
  return contributed.flatMap(({ name, contribution }) => {
    const items = (contribution[slot] ?? []) as readonly ItemOf<K>[]
    for (const key of items.flatMap(keysOf)) {
      const owner = owners.get(key)
      if (owner !== undefined) throw conflict(`${slot} "${key}"`, owner, name)
      owners.set(key, name)
    }
    return items
  })
}

function conflict(what: string, first: string, second: string): ProxyError {
  return new ProxyError(
    'ERR_PROXY_CONFIG',
    `plugins: "${first}" and "${second}" both fill ${what}; remove one of them from "plugins"`,
  )
}
