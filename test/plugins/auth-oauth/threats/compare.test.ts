import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { createKeys } from '../../../../core/keys.ts'
import { digest, isSame, newId, newSecret } from '../../../../plugins/auth-oauth/secret.ts'
import { ROOT } from '../../../harness.ts'

/** A node of an ESTree. */
interface Node {
  readonly type: string
  readonly start: number
  readonly [key: string]: any
}

/** Words that name something whose characters must not be found out one by one. */
const SECRET = /^(?:secret|mac|csrf|digest|verifier|challenge|password|stamp|token|signature|cookie|hash)$/i
/** Not what they look like: the same person has typed both, at this terminal. */
const HARMLESS = new Set(["plugins/auth-local/ask-password.ts: (await ask('Once more: ')) === password"])
const LOOKUPS = new Set(['includes', 'indexOf', 'lastIndexOf', 'startsWith', 'endsWith', 'localeCompare', 'equals'])

/** Comparisons in a source that stop at the first difference, of a secret with anything but a constant; as they are written. */
function leaks(source: string): string[] {
  const found: string[] = []
  visit(parseAst(source, { lang: 'ts' }), (node) => {
    if (compared(node).some(([ours, theirs]) => isSecret(ours) && !isConstant(theirs)))
      found.push(source.slice(node.start, node['end'] as number))
  })
  return found
}

/** What a node compares, both ways round. */
function compared(node: Node): (readonly [Node, Node])[] {
  const bothWays = (a: Node, b: Node) => [[a, b] as const, [b, a] as const]
  if (node.type === 'BinaryExpression' && /^[!=]==?$/.test(node['operator']))
    return bothWays(node['left'], node['right'])
  if (node.type === 'SwitchStatement')
    return node['cases'].flatMap(({ test: label }: Node) =>
      label === null ? [] : bothWays(node['discriminant'], label),
    )
  if (node.type !== 'CallExpression') return []
  const { callee, arguments: given } = node as { callee: Node; arguments: Node[] } & Node
  const [first, second] = given
  if (callee.type !== 'MemberExpression' || first === undefined) return []
  const method: unknown = callee['property'].name
  if (callee['object'].name === 'Object' && method === 'is') return second === undefined ? [] : bothWays(first, second)
  return LOOKUPS.has(String(method)) ? bothWays(callee['object'], first) : []
}

/** Whether an expression is a secret: it or what it is read from has a word for it in its name. */
function isSecret(node: Node): boolean {
  switch (node.type) {
    case 'Identifier':
      return wordsOf(node['name']).some((word) => SECRET.test(word))
    case 'MemberExpression':
      // How long one is, is no secret.
      if (['length', 'byteLength', 'size'].includes(node['property'].name)) return false
      return isSecret(node['property']) || isSecret(node['object'])
    case 'CallExpression':
      return isSecret(node['callee'])
    case 'LogicalExpression':
      return isSecret(node['left']) || isSecret(node['right'])
    case 'ConditionalExpression':
      return isSecret(node['consequent']) || isSecret(node['alternate'])
    case 'TemplateLiteral':
      return node['expressions'].some(isSecret)
    case 'BinaryExpression':
      return node['operator'] === '+' && (isSecret(node['left']) || isSecret(node['right']))
    case 'AwaitExpression':
    case 'ChainExpression':
    case 'ParenthesizedExpression':
    case 'TSAsExpression':
    case 'TSNonNullExpression':
    case 'TSSatisfiesExpression':
      return isSecret(node['argument'] ?? node['expression'])
    default:
      return false
  }
}

function wordsOf(name: string): string[] {
  return name.split(/_|(?<=[a-z0-9])(?=[A-Z])/)
}

/** Written in the source, so known to everybody; whether something is there at all is no secret either. */
function isConstant(node: Node): boolean {
  if (node.type === 'Literal') return true
  if (node.type === 'UnaryExpression') return node['operator'] === 'typeof' || isConstant(node['argument'])
  if (node.type === 'TemplateLiteral') return node['expressions'].length === 0
  return node.type === 'Identifier' && node['name'] === 'undefined'
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) for (const each of value) visit(each, see)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return
  if (typeof (value as Partial<Node>).type === 'string') see(value as Node)
  for (const each of Object.values(value)) visit(each, see)
}

async function sourcesOf(folder: string): Promise<{ readonly name: string; readonly text: string }[]> {
  const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  return Promise.all(
    files.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name)
      return { name: relative(ROOT, path), text: await readFile(path, 'utf8') }
    }),
  )
}

test('T36 no secret is compared with === or anything else that stops at the first difference', async () => {
  const sources = [
    ...(await sourcesOf('plugins/auth-oauth')),
    ...(await sourcesOf('plugins/auth-local')),
    ...(await sourcesOf('core')).filter(({ name }) => /^core\/(?:keys|key-proof|secret)\.ts$/.test(name)),
  ]
  expect(sources.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['plugins/auth-oauth/client-auth.ts', 'plugins/auth-oauth/redeem.ts', 'core/keys.ts']),
  )
  const found = sources.flatMap(({ name, text }) => leaks(text).map((code) => `${name}: ${code}`))
  expect(found.filter((leak) => !HARMLESS.has(leak))).toEqual([])
})

test('T36 the secrets there are do go through a comparison in constant time', async () => {
  const calls = (await sourcesOf('plugins/auth-oauth')).flatMap(({ name, text }) =>
    Array.from(text.matchAll(/\b(isSame|keys\.verify)\(([^)]*)/g), ([, how, what]) => `${name} ${how} ${what}`),
  )
  // A client's secret, a code's challenge, the cookie of a departure, the consent form's field, a refresh token.
  for (const part of ['secretDigest', 'challenge', 'bind', "'csrf'", "'refresh-mac'"])
    expect(calls.filter((call) => call.includes(part))).not.toEqual([])
})

test('T36 the check itself finds what it is there for, and nothing else', () => {
  const bad = [
    'if (client.secretDigest === digest(given)) go()',
    'const same = form.get(name) !== csrf',
    'if (login.passwordHash! == hashOf(text)) go()',
    'if ((await macOf(text)) === sent) go()',
    'const f = () => code.challenge === createHash(x).update(y).digest(z)',
    'if (seen?.token === (other as string)) go()',
    'if (`${prefix}${mac}` === text) go()',
    'if (prefix + mac === text) go()',
    'if (Object.is(verifier, other)) go()',
    'if (tokens.known.includes(token)) go()',
    'if (sent.startsWith(csrfToken)) go()',
    'switch (mac) { case other: go() }',
    'if ((a ?? secret) === b) go()',
    'if (bytes.equals(expectedMac)) go()',
    'const f = (stamp: string) => stamp !== user.stamp',
  ]
  for (const source of bad) expect([source, leaks(source).length]).toEqual([source, 1])
  const good = [
    'if (secret === undefined || token !== null) go()',
    "if (token === '') go()",
    "if (typeof secret === 'string') go()",
    'if (secret.length === other.length) go()',
    'if (isSame(client.secretDigest, digest(secret))) go()',
    'if (timestamp === other || machine !== another || tokens.size === limit) go()',
    "if (form.get('code_challenge_method') !== 'S256') go()",
    "switch (token) { case 'x': go() }",
    "if (authMethod === 'client_secret_post') go()",
    "if (challenge.startsWith('x')) go()",
    'if (login.generation === generation && code.client !== client.id) go()',
  ]
  expect(good.flatMap(leaks)).toEqual([])
})

test('T36 isSame: the same text and no other, whatever the lengths', () => {
  const secret = newSecret()
  expect(isSame(secret, secret)).toBe(true)
  expect(isSame(secret, Buffer.from(secret).toString())).toBe(true)
  expect(isSame('', '')).toBe(true)
  for (const other of [
    '',
    secret.slice(1),
    secret.slice(0, -1),
    `${secret}\0`,
    ` ${secret}`,
    secret.toLowerCase(),
    newSecret(),
  ])
    expect([isSame(secret, other), isSame(other, secret)]).toEqual([false, false])
  // Unicode that looks the same, and half a character.
  expect(isSame('é', 'e\u0301')).toBe(false)
  expect(isSame('a', 'а')).toBe(false)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => isSame(text, text)))
  fc.assert(fc.property(fc.string(), fc.string(), (one, two) => isSame(one, two) === (one === two)))
  // One bit anywhere.
  const bytes = randomBytes(32)
  for (let bit = 0; bit < 256; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    expect(isSame(bytes.toString('base64url'), changed.toString('base64url'))).toBe(false)
  }
})

test('T36 a mac: one wrong bit, character or length is refused, and so is another spelling of the same bytes', () => {
  const keys = createKeys(['a'.repeat(32), 'b'.repeat(32)])
  const mac = keys.mac('refresh-mac', 'text')
  expect(keys.verify('refresh-mac', 'text', mac)).toBe(true)
  const bytes = Buffer.from(mac, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    expect(keys.verify('refresh-mac', 'text', changed.toString('base64url'))).toBe(false)
  }
  const spelt = ['', mac.slice(0, -1), `${mac}=`, `${mac}A`, ` ${mac}`, bytes.toString('base64'), bytes.toString('hex')]
  for (const other of spelt) expect(keys.verify('refresh-mac', 'text', other)).toBe(false)
  expect(keys.verify('csrf', 'text', mac)).toBe(false)
  expect(keys.verify('refresh-mac', 'text ', mac)).toBe(false)
})

test('T36 secrets are 256 bits, ids 128, never twice; what is kept of one does not tell it', () => {
  const secrets = Array.from({ length: 1000 }, newSecret)
  expect(new Set(secrets).size).toBe(1000)
  for (const secret of secrets) expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
  for (const id of Array.from({ length: 1000 }, newId)) expect(Buffer.from(id, 'base64url')).toHaveLength(16)
  const [secret = ''] = secrets
  expect(digest(secret)).toBe(createHash('sha256').update(secret).digest('base64url'))
  expect(digest(secret)).not.toBe(digest(newSecret()))
})
