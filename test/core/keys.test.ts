import { hkdfSync } from 'node:crypto'
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KeyPurpose } from '../../core/keys.ts'
import { createKeys } from '../../core/keys.ts'
import { loadSecrets } from '../../core/secret.ts'

const [a, b, c] = ['aaaa', 'bbbb', 'cccc'].map((text) => text.repeat(8)) as [string, string, string]
const purposes: KeyPurpose[] = ['session', 'state', 'store', 'cookie', 'jwt', 'refresh-mac', 'lookup', 'csrf']

describe('createKeys', () => {
  it('opens what it sealed, whatever the text', () => {
    const keys = createKeys([a])
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (text, aad) => {
        expect(keys.open('session', keys.seal('session', text, aad), aad)).toBe(text)
      }),
    )
  })

  it('seals to base64url and never twice the same', () => {
    const keys = createKeys([a])
    const [one, two] = [keys.seal('session', 'text'), keys.seal('session', 'text')]
    expect(one).toMatch(/^[\w-]+$/)
    expect(one).not.toBe(two)
  })

  it('opens nothing with one bit changed, cut, extended or spelt differently', () => {
    const keys = createKeys([a])
    const sealed = keys.seal('session', 'text', 'aad')
    const bytes = Buffer.from(sealed, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(keys.open('session', changed.toString('base64url'), 'aad')).toBeUndefined()
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(keys.open('session', sealed.slice(0, length), 'aad')).toBeUndefined()
    }
    const spellings = [
      `${sealed}=`,
      `${sealed}!`,
      ` ${sealed}`,
      `${sealed}A`,
      `${sealed.slice(0, 9)}.${sealed.slice(9)}`,
    ]
    for (const spelling of spellings) expect(keys.open('session', spelling, 'aad')).toBeUndefined()
  })

  it('never throws on foreign input', () => {
    const keys = createKeys([a])
    fc.assert(fc.property(fc.string(), (text) => keys.open('session', text) === undefined))
    for (const input of [undefined, null, 7, {}]) expect(keys.open('session', input as never)).toBeUndefined()
    for (const input of [undefined, null, 7, {}]) expect(keys.verify('csrf', 'x', input as never)).toBe(false)
  })

  it('binds purpose and aad', () => {
    const keys = createKeys([a])
    for (const purpose of purposes) {
      const sealed = keys.seal(purpose, 'text', 'aad')
      for (const other of purposes) expect(keys.open(other, sealed, 'aad')).toBe(other === purpose ? 'text' : undefined)
      expect(keys.open(purpose, sealed)).toBeUndefined()
      expect(keys.open(purpose, sealed, 'aad2')).toBeUndefined()
    }
  })

  it('opens and verifies with every secret of the ring, seals and signs with the first', () => {
    const [before, rotated, after] = [createKeys([b]), createKeys([a, b]), createKeys([a])]
    expect(rotated.open('state', before.seal('state', 'old'))).toBe('old')
    expect(after.open('state', rotated.seal('state', 'new'))).toBe('new')
    expect(before.open('state', rotated.seal('state', 'new'))).toBeUndefined()
    expect(after.open('state', before.seal('state', 'old'))).toBeUndefined()
    expect(rotated.verify('csrf', 'text', before.mac('csrf', 'text'))).toBe(true)
    expect(rotated.mac('csrf', 'text')).toBe(after.mac('csrf', 'text'))
    expect(after.verify('csrf', 'text', before.mac('csrf', 'text'))).toBe(false)
  })

  it('verifies only the same text, purpose and whole mac', () => {
    const keys = createKeys([a])
    const mac = keys.mac('lookup', 'text')
    expect(keys.verify('lookup', 'text', mac)).toBe(true)
    expect(keys.verify('lookup', 'text2', mac)).toBe(false)
    expect(keys.verify('csrf', 'text', mac)).toBe(false)
    for (const wrong of ['', mac.slice(1), `${mac}=`, mac.toUpperCase()])
      expect(keys.verify('lookup', 'text', wrong)).toBe(false)
  })

  it('derives sub-keys by HKDF-SHA256, one per secret, once', () => {
    const keys = createKeys([a, b])
    const found = keys.subKeys('jwt')
    expect(found.map(({ key }) => Buffer.from(key).toString('hex'))).toEqual(
      [a, b].map((secret) => Buffer.from(hkdfSync('sha256', secret, 'mcp-proxy/v1', 'jwt', 32)).toString('hex')),
    )
    expect(keys.subKeys('jwt')[0]?.key).toBe(found[0]?.key)
    expect(found[0]?.kid).toMatch(/^[\w-]{8}$/)
    expect(keys.subKeys('csrf').map(({ kid }) => kid)).toEqual(found.map(({ kid }) => kid))
    expect(found[0]?.kid).not.toBe(found[1]?.kid)
    expect(
      new Set(purposes.map((purpose) => Buffer.from(keys.subKeys(purpose)[0]?.key ?? []).toString('hex'))).size,
    ).toBe(8)
  })

  it('refuses an empty ring', () => {
    expect(() => createKeys([])).toThrow(/MCP_SECRET/)
  })
})

describe('loadSecrets', () => {
  let dataDir: string
  beforeEach(async () => {
    dataDir = join(await mkdtemp(join(tmpdir(), 'secret-')), 'data')
  })
  afterEach(() => rm(join(dataDir, '..'), { recursive: true }))

  function recorder() {
    const lines: string[] = []
    const note = (line: unknown) => void lines.push(String(line))
    return { lines, logger: { info: note, warn: note } as never }
  }

  it('reads a ring, active first, and makes no file for it', async () => {
    expect(await loadSecrets({ secret: ` ${a} ,${b},,${a}\n`, dataDir })).toEqual([a, b])
    await expect(stat(dataDir)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('refuses a short secret: says which variable and how to make one, not what it was', async () => {
    const short = 'x'.repeat(31)
    const refusal = loadSecrets({ secret: `${a},${short}`, dataDir })
    await expect(refusal).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: 'MCP_SECRET: secret 2 is shorter than 32 bytes; make one with: openssl rand -base64 32',
    })
    expect(await loadSecrets({ secret: 'ü'.repeat(16), dataDir })).toHaveLength(1)
    await expect(loadSecrets({ secret: ' , ', dataDir })).rejects.toThrow(/no secret/)
  })

  it('makes a secret once, for this user alone, and never logs it', async () => {
    const { lines, logger } = recorder()
    const [made = ''] = await loadSecrets({ secret: '', dataDir, logger })
    expect(Buffer.byteLength(made)).toBeGreaterThanOrEqual(32)
    expect(await loadSecrets({ dataDir, logger })).toEqual([made])
    expect(await readdir(dataDir)).toEqual(['secret'])
    expect((await stat(join(dataDir, 'secret'))).mode & 0o777).toBe(0o600)
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
    expect(lines).toHaveLength(1)
    expect(lines.join()).toContain(join(dataDir, 'secret'))
    expect(lines.join()).not.toContain(made)
  })

  it('agrees on one secret when many start at once', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => loadSecrets({ dataDir })))
    expect(new Set(made.flat()).size).toBe(1)
    expect(await readFile(join(dataDir, 'secret'), 'utf8')).toBe(`${made[0]?.[0]}\n`)
    expect(await readdir(dataDir)).toEqual(['secret'])
  })

  it('reads a ring from the file, and warns when others can read it too', async () => {
    await loadSecrets({ dataDir })
    await writeFile(join(dataDir, 'secret'), `${c},${b}\n`)
    await chmod(join(dataDir, 'secret'), 0o644)
    const { lines, logger } = recorder()
    expect(await loadSecrets({ dataDir, logger })).toEqual([c, b])
    expect(lines).toEqual([expect.stringContaining('chmod 600')])
  })

  it('names file and way out when the file is empty or the folder cannot be used', async () => {
    await loadSecrets({ dataDir })
    const path = join(dataDir, 'secret')
    await writeFile(path, '')
    await expect(loadSecrets({ dataDir })).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: `${path}: there is no secret in it; delete the file to have a new one made, or set MCP_SECRET`,
    })
    await expect(loadSecrets({ dataDir: join(path, 'below') })).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringMatching(/ENOTDIR.*set MCP_SECRET/),
    })
  })
})
