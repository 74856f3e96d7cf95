import { BlockList, isIP } from 'node:net'

/**
 * Addresses nobody else's document can be at (IANA special-purpose registries, RFC 6890): this machine, this network,
 * links, and the ways to spell those in IPv6.
 */
const SPECIAL = new BlockList()
for (const range of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]) {
  const [address = '', bits] = range.split('/')
  SPECIAL.addSubnet(address, Number(bits), 'ipv4')
}

/**
 * Of IPv6 only global unicast is public, and of that not what carries or stands for something else (6to4, Teredo,
 * documentation …).
 */
const GLOBAL = new BlockList()
GLOBAL.addSubnet('2000::', 3, 'ipv6')
const SPECIAL_6 = new BlockList()
for (const range of ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20']) {
  const [address = '', bits] = range.split('/')
  SPECIAL_6.addSubnet(address, Number(bits), 'ipv6')
}

/** Whether an IP address belongs to a host on the public Internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !SPECIAL.check(address, 'ipv4')
  if (isIP(address) !== 6 || address.includes('%')) return false
  return GLOBAL.check(address, 'ipv6') && !SPECIAL_6.check(address, 'ipv6')
}
