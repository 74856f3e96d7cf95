import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** A new unguessable value of 256 bits, base64url. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** A new unguessable id of 128 bits, base64url. */
export function newId(): string {
  return randomBytes(16).toString('base64url')
}

/** What is kept in place of a secret of 256 bits; nothing needs to be slow about it. */
export function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Compares in constant time, whatever the lengths. */
export function isSame(ours: string, theirs: string): boolean {
  const [a, b] = [ours, theirs].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
