import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto'

/** What new passwords are hashed with: 32 MiB and some 100 ms. */
const COST = { ln: 15, r: 8, p: 1 } as const
const SALT_BYTES = 16
const KEY_BYTES = 32

/** Fewest characters of a password, and most bytes. */
export const SHORTEST = 12
export const LONGEST = 1024

interface Cost {
  /** Binary logarithm of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
}

/** What is wrong with a new password; `undefined`: nothing. */
export function flawOf(password: string): string | undefined {
  const text = password.normalize('NFC')
  if (/\p{Cc}/u.test(text)) return 'holds control characters, which nobody can type into a page'
  if (Array.from(text).length < SHORTEST) return `is shorter than ${SHORTEST} characters`
  if (Buffer.byteLength(text) > LONGEST) return `is longer than ${LONGEST} bytes`
  return undefined
}

/** Hashes with a new salt; the text says what with, so that the cost can be raised later. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  return write(COST, salt, await derive(password, salt, COST, KEY_BYTES))
}

/** A hash that no password has, which takes as long to check as any: for people who have no account. */
export function noPassword(): string {
  return write(COST, randomBytes(SALT_BYTES), randomBytes(KEY_BYTES))
}

/** Whether `hash` was made of this password; compared in constant time. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const { cost, salt, key } = read(hash)
  // Long text costs more to look at; nobody's password is that long, so that tells nothing.
  if (Buffer.byteLength(password) > LONGEST * 4) return false
  return timingSafeEqual(key, await derive(password, salt, cost, key.length))
}

/** NFC: the same characters, however a keyboard or system composes them. */
function derive(password: string, salt: Uint8Array, { ln, r, p }: Cost, bytes: number): Promise<Buffer> {
  const N = 2 ** ln
  const options: ScryptOptions = { N, r, p, maxmem: 256 * N * r }
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, bytes, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

/** As the PHC string format has it: `$scrypt$ln=15,r=8,p=1$<salt>$<key>`. */
function write({ ln, r, p }: Cost, salt: Buffer, key: Buffer): string {
  const [saltText, keyText] = [salt, key].map((bytes) => bytes.toString('base64').replace(/=+$/, ''))
  return `$scrypt$ln=${ln},r=${r},p=${p}$${saltText}$${keyText}`
}

function read(hash: string): { cost: Cost; salt: Buffer; key: Buffer } {
  const parts = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(hash)
  if (parts === null) throw new Error('a password hash cannot be read; set a new password with: users passwd')
  const [, ln, r, p, salt = '', key = ''] = parts
  return {
    cost: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  }
}
