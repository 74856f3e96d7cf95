import { BlockList, isIP } from 'node:net'
import type { Remote } from '../plugin.ts'

/**
 * Tells where requests come from. The peer's own address, unless that is a trusted proxy: then the last one in
 * `X-Forwarded-For` that is not, since anything further left may be made up. `trusted`: addresses and CIDR ranges. `warn` is told once of a neighbour
 * that forwards for others and is not trusted: all its clients would count as one.
 */
export function createRemotes(
  trusted: readonly string[],
  warn: (message: string) => void,
): (request: Request) => Remote {
  let hasWarned = false
  const proxies = listOf(trusted)
  const isTrusted = (address: string): boolean => {
    const family = isIP(address)
    return family !== 0 && proxies.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }

  return (request) => {
    const peer = (request as { ip?: string | undefined }).ip
    if (peer === undefined || peer === '') return {}
    let address = bare(peer)
    const hops = request.headers.get('x-forwarded-for')?.split(',') ?? []
    while (hops.length > 0 && isTrusted(address)) {
      const before = bare(hops.pop() ?? '')
      if (isIP(before) === 0) break
      address = before
    }
    if (hops.length > 0 && !hasWarned && !isTrusted(address) && isNear(address)) {
      hasWarned = true
      warn(
        `requests come through ${address}: name it in MCP_TRUSTED_PROXIES, else all its clients share one rate limit`,
      )
    }
    return { address }
  }
}

/** Where reverse proxies are: this machine and its own networks. */
const NEAR = listOf(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1', 'fc00::/7'])

function isNear(address: string): boolean {
  return isIP(address) !== 0 && NEAR.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/** Without white space, brackets and port, and an IPv4 address in IPv6 clothes as what it is. */
function bare(text: string): string {
  const inner = /^\[([^\]]+)\](?::\d+)?$/.exec(text.trim())?.[1] ?? text.trim().replace(/^([\d.]+):\d+$/, '$1')
  return inner.replace(/^::ffff:(?=\d+\.)/i, '')
}
