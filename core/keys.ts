/** What sealing may be used for; each purpose has a key of its own. */
export type KeyPurpose = 'session' | 'state' | 'store' | 'cookie' | 'jwt' | 'refresh-mac' | 'lookup' | 'csrf'

/** The key ring: sub-keys by purpose, authenticated encryption. The first secret is active, the others still open. */
export interface Keys {
  /** Encrypts and authenticates; `aad` is bound but not stored. Result is base64url. */
  seal(purpose: KeyPurpose, plaintext: string, aad?: string): string
  /** The plaintext, or `undefined` when it was not sealed by this ring for this purpose and `aad`. */
  open(purpose: KeyPurpose, sealed: string, aad?: string): string | undefined
  /** Keyed hash with the active secret, base64url. */
  mac(purpose: KeyPurpose, text: string): string
  /** Whether `mac` was made by any secret of the ring; compared in constant time. */
  verify(purpose: KeyPurpose, text: string, mac: string): boolean
  /** Sub-keys of every secret, active first, with their ids. */
  subKeys(purpose: KeyPurpose): readonly { readonly kid: string; readonly key: Uint8Array }[]
}
