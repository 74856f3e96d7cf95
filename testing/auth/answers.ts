import assert from 'node:assert/strict'
import type { Principal } from '../../core/index.ts'
import { isAuthError } from '../../core/errors.ts'
import type { Check } from '../contract.ts'
import { checkHeaders, checkRefusal, recognise, type MadeAuth } from './bench.ts'

const URL = 'http://127.0.0.1/mcp'

/** What a provider has to say beside who it is, where it has something to say. */
export function answers(check: Check<MadeAuth>): void {
  check('challenges with headers that HTTP allows and that give nothing away', async (made) => {
    const { provider, known, wrong = [] } = made
    const requests = [new Request(URL), new Request(URL, { headers: { authorization: 'Bearer canary-of-a-stranger' } })]
    for (const make of [...known, ...wrong]) requests.push(await make())
    for (const request of requests) {
      if (provider.challenge !== undefined) checkHeaders(provider.challenge(request), made, request)
    }
  })

  check('keeps the streams of those whose login is good', async ({ provider, known }) => {
    for (const make of known) {
      const principal = await recognise(provider, await make())
      if (provider.isActive !== undefined) assert.equal(await provider.isActive(principal), true)
    }
  })

  check('says of a login that it never gave whether it is active, without a throw', async ({ provider }) => {
    const stranger = { id: 'nobody', login: 'none', roles: [] }
    if (provider.isActive !== undefined) assert.equal(typeof (await provider.isActive(stranger)), 'boolean')
  })

  check('ends the login of whom the policy refuses, and says how to answer', async (made) => {
    const { provider, known } = made
    if (provider.refuse === undefined) return
    for (const make of known) {
      const request = await make()
      const principal = await recognise(provider, request)
      const refusal = await provider.refuse(principal, request)
      assert.ok(isAuthError(refusal), 'refuse must resolve an AuthError')
      checkRefusal(refusal, made, request)
      if (provider.isActive !== undefined) assert.equal(await provider.isActive(principal), false, 'the login goes on')
    }
  })

  check('ends nobody’s login where the policy refuses nobody', async ({ provider, known }) => {
    if (provider.review === undefined) return
    const before: Principal[] = []
    for (const make of known) before.push(await recognise(provider, await make()))
    await provider.review()
    for (const [index, make] of known.entries()) {
      assert.equal((await recognise(provider, await make())).id, before[index]?.id)
    }
  })
}
