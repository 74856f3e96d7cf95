import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'

/** How long (ms) a name server may take at first, and how often it is asked; the second time it has twice as long. */
const PATIENCE = 1000
const TRIES = 2

/**
 * The addresses of a name, IPv4 first. Asks the name servers itself: `dns.lookup` cannot be called off and is done by
 * few threads, so that names whose servers never answer would hold up every other look-up of the process. `servers`:
 * for tests.
 */
export async function resolveName(
  name: string,
  signal: AbortSignal,
  servers?: readonly string[],
): Promise<readonly LookupAddress[]> {
  signal.throwIfAborted()
  const resolver = new Resolver({ timeout: PATIENCE, tries: TRIES })
  if (servers !== undefined) resolver.setServers(servers)
  const cancel = (): void => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    const found = [...addressesIn(four, 4), ...addressesIn(six, 6)]
    if (found.length === 0 && four.status === 'rejected') throw four.reason
    return found
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

function addressesIn(result: PromiseSettledResult<readonly string[]>, family: 4 | 6): LookupAddress[] {
  return result.status === 'fulfilled' ? result.value.map((address) => ({ address, family })) : []
}
