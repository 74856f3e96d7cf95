import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { AccessPolicy, Awaitable, Permissions, Principal } from '../core/index.ts'
import { isAuthError } from '../core/errors.ts'
import { contract, eventually, type Made, type Runner } from './contract.ts'
import { checkNone, watchOpening } from './opened.ts'

/** A policy, and people to ask it about. */
export interface MadeAccess extends Made {
  readonly policy: AccessPolicy
  /** Who may do something; at least one. */
  readonly allowed: readonly Principal[]
  /** Who may do nothing. */
  readonly refused: readonly Principal[]
  /** Changes what the first of `allowed` may do, or takes it all away. */
  change?(): Awaitable<void>
}

/** Names that every object has: a list that is one would let them in. */
const INHERITED = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']

/** What every policy for slot `access` must hold: the kernel asks it for every request, and compares what it says by identity. */
export function accessContract(runner: Runner, name: string, make: () => Awaitable<MadeAccess>): void {
  contract(runner, `access contract: ${name}`, make, (check) => {
    check('says what somebody may do', async ({ policy, allowed }) => {
      assert.ok(allowed.length > 0, '"allowed" must name somebody')
      for (const principal of allowed) {
        const permissions = await policy.permissions(principal)
        assert.ok(permissions !== undefined, `${principal.id} is refused`)
        checkPermissions(permissions)
      }
    })

    check('refuses with undefined, not with a throw', async ({ policy, refused }) => {
      for (const principal of refused) assert.equal(await policy.permissions(principal), undefined, principal.id)
    })

    check('is the same object as long as nothing has changed', async ({ policy, allowed }) => {
      for (const principal of allowed) {
        const first = await policy.permissions(principal)
        const copies = Array.from({ length: 20 }, async () => policy.permissions(structuredClone(principal)))
        for (const again of await Promise.all(copies)) {
          assert.ok(again === first, `${principal.id}: another object each time counts as a change and closes streams`)
        }
      }
    })

    check('lets nobody in by a name that every object has', async ({ policy }) => {
      for (const word of INHERITED) {
        const principal = { id: word, email: word, subject: word, name: word, roles: [] }
        const permissions = await orRefusal(() => policy.permissions(principal))
        if (permissions !== undefined) checkPermissions(permissions)
      }
    })

    check('survives principals with nothing but an id, however long', async ({ policy }) => {
      for (const id of ['', ' ', 'x'.repeat(100_000), '\u0000', '../..']) {
        const permissions = await orRefusal(() => policy.permissions({ id, roles: [] }))
        if (permissions !== undefined) checkPermissions(permissions)
      }
    })

    check('leaves the principal as it is', async ({ policy, allowed, refused }) => {
      for (const principal of [...allowed, ...refused]) {
        const frozen = Object.freeze({ ...principal, roles: Object.freeze([...principal.roles]) })
        await policy.permissions(frozen)
      }
    })

    check('answers without network', async ({ policy, allowed, refused }) => {
      const watch = watchOpening()
      try {
        for (const principal of [...allowed, ...refused]) await watch.run(async () => policy.permissions(principal))
        await turn()
      } finally {
        watch.stop()
      }
      checkNone(watch.network(), 'it stands before every request: fetch beforehand, and keep')
    })

    check('tells a change by another object', async ({ policy, allowed: [first], change }) => {
      if (change === undefined || first === undefined) return
      const before = await policy.permissions(first)
      await change()
      await eventually(async () => {
        const now = await policy.permissions(first)
        assert.ok(now !== before, 'still the object from before the change')
        assert.notDeepEqual(now, before)
      })
    })
  })
}

/** What a policy says; a refusal by `AuthError` is one too. */
async function orRefusal(ask: () => Awaitable<Permissions | undefined>): Promise<Permissions | undefined> {
  try {
    return await ask()
  } catch (error) {
    assert.ok(isAuthError(error), `threw something else than an AuthError: ${String(error)}`)
    return undefined
  }
}

function checkPermissions({ allowedTools, roles }: Permissions): void {
  checkTexts(allowedTools, 'allowedTools')
  if (roles !== undefined) checkTexts(roles, 'roles')
}

function checkTexts(list: unknown, what: string): void {
  const isList = Array.isArray(list) && list.every((text) => typeof text === 'string')
  assert.ok(isList, `${what} must be a list of texts`)
}
