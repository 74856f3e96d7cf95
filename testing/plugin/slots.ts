import assert from 'node:assert/strict'
import type { Contribution, Hooks } from '../../core/index.ts'

type Slot = keyof Contribution

/** What belongs into each slot. */
const SLOTS: { readonly [K in Slot]-?: (value: NonNullable<Contribution[K]>) => void } = {
  auth: (provider) => isFunction(provider.authenticate, 'auth.authenticate'),
  access: (policy) => isFunction(policy.permissions, 'access.permissions'),
  storage(driver) {
    for (const method of ['hasItem', 'getItem', 'setItem', 'removeItem', 'getKeys'] as const) {
      isFunction(driver[method], `storage.${method}`)
    }
  },
  transports: each('transports', ({ type, schema, connect }, where) => {
    isText(type, `${where}.type`)
    isFunction(schema?.['~standard']?.validate, `${where}.schema["~standard"].validate`)
    isFunction(connect, `${where}.connect`)
  }),
  middleware: (middleware) => isFunction(middleware, 'middleware'),
  routes: each('routes', ({ path, method, cors, handler }, where) => {
    isText(path, `${where}.path`)
    assert.ok(path.startsWith('/'), `${where}.path must begin with "/", not ${JSON.stringify(path)}`)
    if (method !== undefined) assert.match(method, /^[A-Za-z]+$/, `${where}.method must be an HTTP method`)
    if (cors !== undefined) assert.ok(['known', 'any', 'none'].includes(cors), `${where}.cors: ${cors}`)
    isFunction(handler, `${where}.handler`)
  }),
  commands: each('commands', ({ name, description, run }, where) => {
    assert.match(name, /^[a-z][a-z0-9-]*$/, `${where}.name must be one word of the command line`)
    isText(description, `${where}.description`)
    isFunction(run, `${where}.run`)
  }),
  hooks(hooks) {
    for (const [name, hook] of Object.entries(hooks)) {
      assert.ok(Object.hasOwn(HOOKS, name), `there is no hook "${name}"; there are: ${Object.keys(HOOKS).join(', ')}`)
      isFunction(hook, `hooks.${name}`)
    }
  },
  dispose: (dispose) => isFunction(dispose, 'dispose'),
}

/** Every hook that there is. */
const HOOKS: Readonly<Record<keyof Hooks, true>> = {
  ready: true,
  reload: true,
  'config:change': true,
  close: true,
  'upstream:up': true,
  'upstream:down': true,
  'session:open': true,
  'session:close': true,
}

/** Throws where a contribution has a slot that there is not, or something in one that does not belong there. */
export function checkSlots(contribution: Contribution): void {
  for (const [slot, value] of Object.entries(contribution)) {
    assert.ok(Object.hasOwn(SLOTS, slot), `there is no slot "${slot}"; there are: ${Object.keys(SLOTS).join(', ')}`)
    if (value !== undefined) (SLOTS[slot as Slot] as (value: unknown) => void)(value)
  }
}

function each<T>(slot: string, check: (item: T, where: string) => void): (items: readonly T[]) => void {
  return (items) => {
    assert.ok(Array.isArray(items), `${slot} must be a list`)
    for (const [index, item] of items.entries()) check(item, `${slot}[${index}]`)
  }
}

function isFunction(value: unknown, where: string): void {
  assert.equal(typeof value, 'function', `${where} must be a function`)
}

function isText(value: unknown, where: string): void {
  assert.ok(typeof value === 'string' && value !== '', `${where} must be a text that is not empty`)
}
