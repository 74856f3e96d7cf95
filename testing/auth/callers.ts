import assert from 'node:assert/strict'
import type { Principal } from '../../core/index.ts'
import type { Check } from '../contract.ts'
import { letsNobodyIn, recognise, type MadeAuth } from './bench.ts'

const URL = 'http://127.0.0.1/mcp'
const BODY = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

const STRANGE_CREDENTIALS = [
  'Bearer',
  'Bearer x',
  'Bearer ..',
  'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
  'Basic Og==',
  'Basic %%%',
  'Digest username="admin"',
  '\u00ff\u00fe',
  `Bearer ${'x'.repeat(100_000)}`,
]

/** Who is recognised, and who is not. */
export function callers(check: Check<MadeAuth>): void {
  check('knows its callers: the same one each time, as plain data', async ({ provider, known }) => {
    assert.ok(known.length > 0, '"known" must make a request')
    for (const make of known) {
      const principal = await recognise(provider, await make())
      checkPrincipal(principal)
      const again = await recognise(provider, await make())
      assert.equal(again.id, principal.id, 'one caller, two ids')
    }
  })

  check('tells its callers apart, also many at once', async ({ provider, known }) => {
    const ask = async (turn: number): Promise<string> => {
      const make = known[turn % known.length]
      assert.ok(make !== undefined)
      return (await recognise(provider, await make())).id
    }
    const once: string[] = []
    for (const turn of known.keys()) once.push(await ask(turn))
    assert.equal(new Set(once).size, known.length, 'two callers, one id')
    const turns = Array.from({ length: 50 }, (_, turn) => turn)
    const ids = await Promise.all(turns.map(ask))
    assert.deepEqual(
      ids,
      turns.map((turn) => once[turn % once.length]),
    )
  })

  check('leaves strangers to the next provider', async ({ provider }) => {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const request = new Request(URL, { method, ...(method === 'POST' && { body: BODY }) })
      assert.equal(await provider.authenticate(request), undefined, `${method} without credentials`)
    }
  })

  check('lets nobody in with credentials that make no sense', async (made) => {
    for (const authorization of STRANGE_CREDENTIALS) {
      const request = new Request(URL, { headers: { authorization, cookie: 'a=b; =; c' } })
      await letsNobodyIn(made, request, JSON.stringify(authorization.slice(0, 40)))
    }
  })

  check('lets nobody in with credentials that are only like good ones', async (made) => {
    for (const make of made.known) {
      for (const change of [altered, shortened, lengthened]) {
        const request = await make()
        const credentials = request.headers.get('authorization')
        if (credentials === null) continue
        const headers = new Headers(request.headers)
        headers.set('authorization', change(credentials))
        await letsNobodyIn(made, new Request(request, { headers }), `${change.name} credentials`)
      }
    }
    for (const make of made.wrong ?? []) await letsNobodyIn(made, await make(), 'a request out of "wrong"')
  })

  check('leaves the body to whoever comes next', async ({ provider, known }) => {
    for (const make of known) {
      const { headers } = await make()
      const withType = new Headers(headers)
      withType.set('content-type', 'application/json')
      const request = new Request(URL, { method: 'POST', headers: withType, body: BODY })
      await recognise(provider, request)
      assert.equal(request.bodyUsed, false, 'the body has been read')
      assert.equal(await request.text(), BODY)
    }
  })
}

function checkPrincipal(principal: Principal): void {
  assert.ok(typeof principal.id === 'string' && principal.id !== '', 'id must be a text that is not empty')
  const areTexts = Array.isArray(principal.roles) && principal.roles.every((role) => typeof role === 'string')
  assert.ok(areTexts, 'roles must be a list of texts')
  for (const key of ['email', 'name', 'subject', 'client', 'login'] as const) {
    const value = principal[key]
    if (value !== undefined) assert.equal(typeof value, 'string', `${key} must be a text`)
  }
  assert.equal(principal.permissions, undefined, 'permissions are the business of the slot "access"')
}

/** Not the last character: of base64 that may hold bits which mean nothing. */
function altered(text: string): string {
  const middle = Math.floor((text.indexOf(' ') + text.length) / 2)
  return text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1)
}

function shortened(text: string): string {
  return text.slice(0, Math.ceil((text.indexOf(' ') + 1 + text.length) / 2))
}

function lengthened(text: string): string {
  return `${text.replace(/=+$/, '')}AAAA`
}
