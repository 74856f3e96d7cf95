import type { ConsolaInstance } from 'consola'
import { ProxyError, reasonOf } from './errors.ts'
import type { Keys } from './keys.ts'
import type { Store } from './storage.ts'

const PROOF = 'keys:proof'

/**
 * Makes sure that the key ring is the one the store was written with: under another one everything would look absent, and
 * everybody would be logged out without a word. Rejects `ERR_PROXY_CONFIG`. `store`: one that is not sealed. Writes only where
 * there is something new to write: a full disk, or a look by another user of the machine, must not keep the proxy from starting.
 */
export async function proveKeys(store: Store, keys: Keys, logger: Pick<ConsolaInstance, 'warn'>): Promise<void> {
  const proof = await store.get<string>(PROOF)
  if (proof !== undefined && keys.open('store', proof, PROOF) === undefined) {
    throw new ProxyError(
      'ERR_PROXY_CONFIG',
      'keys: the store was written with another secret, and nothing in it can be read; put that one behind the new one in ' +
        'MCP_SECRET ("new,old") or bring back <data>/secret. To start anew, with every login and session lost, delete <data>/store',
    )
  }
  if (proof !== undefined && keys.isCurrent(proof)) return
  // Sealed again with the active secret: an older one may leave the ring once it has been there together with this one.
  await store.put(PROOF, keys.seal('store', 'proof', PROOF)).catch((error: unknown) => {
    logger.warn(`keys: ${reasonOf(error)}`)
  })
}
