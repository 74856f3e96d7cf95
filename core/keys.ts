import type { KeyObject } from 'node:crypto'
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { ProxyError } from './errors.ts'

/** What sealing may be used for; each purpose has a key of its own. */
export type KeyPurpose = 'session' | 'state' | 'store' | 'cookie' | 'jwt' | 'refresh-mac' | 'lookup' | 'csrf'

/** One secret's key for one purpose. */
interface SubKey {
  /** Names the secret, not the purpose: 8 characters of base64url. */
  readonly kid: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** The key ring: sub-keys by purpose, authenticated encryption. The first secret is active, the others still open. */
export interface Keys {
  /** Encrypts and authenticates; `aad` is bound but not stored. Result is base64url. */
  seal(purpose: KeyPurpose, plaintext: string, aad?: string): string
  /** The plaintext, or `undefined` when it was not sealed by this ring for this purpose and `aad`. */
  open(purpose: KeyPurpose, sealed: string, aad?: string): string | undefined
  /** Whether something was sealed with the active secret. */
  isCurrent(sealed: string): boolean
  /** Keyed hash with the active secret, base64url. */
  mac(purpose: KeyPurpose, text: string): string
  /** Whether `mac` was made by any secret of the ring; compared in constant time. */
  verify(purpose: KeyPurpose, text: string, mac: string): boolean
  /** Sub-keys of every secret, active first, with their ids. */
  subKeys(purpose: KeyPurpose): readonly SubKey[]
}

/** Envelope: version, kid, IV, ciphertext, tag. */
const VERSION = 1
const KID_BYTES = 6
const IV_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KID_BYTES
const CIPHER = 'aes-256-gcm'

/**
 * Makes the ring of `secrets` (active first): HKDF-SHA256 sub-keys (RFC 5869), derived once per purpose, and AES-256-GCM.
 * Throws `ERR_PROXY_CONFIG` when there is no secret; their length is the business of `loadSecrets`.
 */
export function createKeys(secrets: readonly string[]): Keys {
  if (secrets.length === 0) throw new ProxyError('ERR_PROXY_CONFIG', 'keys: the key ring is empty; set MCP_SECRET')
  const cache = new Map<KeyPurpose, RingKey[]>()

  function ring(purpose: KeyPurpose): RingKey[] {
    let found = cache.get(purpose)
    if (!found) cache.set(purpose, (found = secrets.map((secret) => ringKey(secret, purpose))))
    return found
  }

  function active(purpose: KeyPurpose): RingKey {
    const [first] = ring(purpose)
    if (!first) throw new Error('unreachable: the ring is not empty')
    return first
  }

  return {
    seal(purpose, plaintext, aad = '') {
      return encrypt(active(purpose), plaintext, bound(purpose, aad))
    },
    open(purpose, sealed, aad = '') {
      const envelope = decode(sealed)
      if (!envelope) return undefined
      for (const key of ring(purpose)) {
        const plaintext = decrypt(key, envelope, bound(purpose, aad))
        if (plaintext !== undefined) return plaintext
      }
      return undefined
    },
    isCurrent(sealed) {
      const [first] = ring('store')
      return first !== undefined && decode(sealed)?.subarray(0, HEADER_BYTES).equals(first.header) === true
    },
    mac(purpose, text) {
      return hmac(active(purpose), text)
    },
    verify(purpose, text, mac) {
      // No early return: the time must not tell which secret matched.
      return ring(purpose).reduce((found, key) => equal(hmac(key, text), mac) || found, false)
    },
    subKeys: ring,
  }
}

interface RingKey extends SubKey {
  /** `key` as OpenSSL has it: parsed once, which makes sealing more than twice as fast. */
  readonly parsed: KeyObject
  /** Version byte and kid, as every envelope of this key starts. */
  readonly header: Buffer
}

function ringKey(secret: string, purpose: KeyPurpose): RingKey {
  const id = createHash('sha256').update('kid').update(derive(secret, 'jwt')).digest().subarray(0, KID_BYTES)
  const key = derive(secret, purpose)
  return {
    kid: id.toString('base64url'),
    key,
    parsed: createSecretKey(key),
    header: Buffer.concat([Buffer.of(VERSION), id]),
  }
}

function derive(secret: string, purpose: KeyPurpose): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'mcp-proxy/v1', purpose, 32))
}

/** The purpose has a key of its own already; naming it in the AAD too keeps a derivation mistake from being fatal. */
function bound(purpose: KeyPurpose, aad: string): Buffer {
  return Buffer.from(`${purpose}\0${aad}`)
}

function encrypt({ parsed, header }: RingKey, plaintext: string, aad: Buffer): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, parsed, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.concat([header, aad]))
  return Buffer.concat([header, iv, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64url',
  )
}

function decrypt({ parsed, header }: RingKey, envelope: Buffer, aad: Buffer): string | undefined {
  if (!envelope.subarray(0, HEADER_BYTES).equals(header)) return undefined
  const body = envelope.subarray(HEADER_BYTES)
  const decipher = createDecipheriv(CIPHER, parsed, body.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.concat([header, aad]))
  decipher.setAuthTag(body.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(body.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** The bytes of an envelope. Node's decoder skips foreign characters: without the comparison one value had many spellings. */
function decode(sealed: string): Buffer | undefined {
  if (typeof sealed !== 'string') return undefined
  const bytes = Buffer.from(sealed, 'base64url')
  const whole = bytes.length >= HEADER_BYTES + IV_BYTES + TAG_BYTES
  return whole && bytes.toString('base64url') === sealed ? bytes : undefined
}

function hmac({ parsed }: RingKey, text: string): string {
  return createHmac('sha256', parsed).update(text).digest('base64url')
}

function equal(ours: string, theirs: string): boolean {
  if (typeof theirs !== 'string') return false
  const [a, b] = [Buffer.from(ours), Buffer.from(theirs)]
  return a.length === b.length && timingSafeEqual(a, b)
}
