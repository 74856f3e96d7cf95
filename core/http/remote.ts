import { BlockList, isIP } from 'node:net'
import type { Remote } from '../plugin.ts'

/**
 * Tells where requests come from. The peer's own address, unless that is a trusted proxy: then the last one in
 * `X-Forwarded-For` that is not, since anything further left may be made up. `trusted`: addresses and CIDR ranges.
 */
export function createRemotes(trusted: readonly string[]): (request: Request) => Remote {
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
    return { address }
  }
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
