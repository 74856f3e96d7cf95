import fc from 'fast-check'
import { isIP } from 'node:net'
import { expect, test } from 'vitest'
import { isPublicAddress } from '../../../../plugins/auth-oauth/cimd/addresses.ts'

/** IANA's special-purpose registry for IPv4, and what is no host's: multicast, reserved. */
const SPECIAL_4 = [
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
]

/** The same for IPv6, as the first groups of an address and how many bits of them count. */
const SPECIAL_6: readonly (readonly [string, readonly number[], number])[] = [
  ['unspecified and loopback', [0, 0, 0, 0, 0, 0, 0], 112],
  ['IPv4-compatible', [0, 0, 0, 0, 0, 0], 96],
  ['IPv4-mapped', [0, 0, 0, 0, 0, 0xffff], 96],
  ['IPv4-translated', [0, 0, 0, 0, 0xffff, 0], 96],
  ['NAT64', [0x64, 0xff9b, 0, 0, 0, 0], 96],
  ['NAT64 of a network of its own', [0x64, 0xff9b, 1], 48],
  ['discard', [0x100, 0, 0, 0], 64],
  ['dummy', [0x100, 0, 0, 1], 64],
  ['protocol assignments', [0x2001, 0], 23],
  ['Teredo', [0x2001, 0], 32],
  ['benchmarking', [0x2001, 2, 0], 48],
  ['ORCHIDv2', [0x2001, 0x20], 28],
  ['documentation', [0x2001, 0xdb8], 32],
  ['6to4', [0x2002], 16],
  ['AS112', [0x2620, 0x4f, 0x8000], 48],
  ['documentation, the new one', [0x3fff, 0], 20],
  ['segment routing', [0x5f00], 16],
  ['unique local', [0xfc00], 7],
  ['link-local', [0xfe80], 10],
  ['site-local', [0xfec0], 10],
  ['multicast', [0xff00], 8],
]

function bits4(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

/** Any address of an IPv4 range. */
function inRange4(range: string): fc.Arbitrary<string> {
  const [start = '', bits] = range.split('/')
  return fc.integer({ min: 0, max: 2 ** (32 - Number(bits)) - 1 }).map((offset) => dotted(bits4(start) + offset))
}

/** Any address of an IPv6 range, as eight groups. */
function inRange6(start: readonly number[], bits: number): fc.Arbitrary<number[]> {
  return fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }).map((random) =>
    random.map((group, index) => {
      const fixed = Math.min(Math.max(bits - index * 16, 0), 16)
      const mask = (0xffff << (16 - fixed)) & 0xffff
      return ((start[index] ?? 0) & mask) | (group & ~mask & 0xffff)
    }),
  )
}

/** The ways an IPv6 address may be written. */
function spellings(groups: readonly number[]): string[] {
  const hex = groups.map((group) => group.toString(16))
  const long = hex.map((group) => group.padStart(4, '0'))
  const [seven = 0, eight = 0] = groups.slice(6)
  const tail = dotted(seven * 65536 + eight)
  const short = new URL(`https://[${hex.join(':')}]/`).hostname.slice(1, -1)
  const written = [
    hex.join(':'),
    long.join(':'),
    long.join(':').toUpperCase(),
    `${hex.slice(0, 6).join(':')}:${tail}`,
    short,
  ]
  return written.flatMap((text) => [text, `${text}%eth0`, `${text}%1`])
}

const anyGroups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
const isIn4 = (address: string): boolean =>
  SPECIAL_4.some((range) => {
    const [start = '', bits] = range.split('/')
    const size = 2 ** (32 - Number(bits))
    return Math.floor(bits4(address) / size) === Math.floor(bits4(start) / size)
  })
const isIn6 = (groups: readonly number[]): boolean =>
  SPECIAL_6.some(([, start, bits]) =>
    groups.every((group, index) => {
      const fixed = Math.min(Math.max(bits - index * 16, 0), 16)
      const mask = (0xffff << (16 - fixed)) & 0xffff
      return (group & mask) === ((start[index] ?? 0) & mask)
    }),
  )

test.each(SPECIAL_4)('T88 no address of %s is public, at its edges least of all', (range) => {
  const [start = '', bits] = range.split('/')
  const last = dotted(bits4(start) + 2 ** (32 - Number(bits)) - 1)
  expect([start, last].filter(isPublicAddress)).toEqual([])
  fc.assert(fc.property(inRange4(range), (address) => !isPublicAddress(address)))
})

test('T88 an IPv4 address of no special range is public', () => {
  const any = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(dotted)
  fc.assert(
    fc.property(any, (address) => isPublicAddress(address) === !isIn4(address)),
    { numRuns: 2000 },
  )
  const known = ['1.1.1.1', '8.8.8.8', '93.184.216.34', '160.79.104.10', '172.15.255.255', '172.32.0.0']
  expect(known.filter((address) => !isPublicAddress(address))).toEqual([])
})

test.each(SPECIAL_4)('T88 no address of %s is public in the clothes of IPv6', (range) => {
  const carriers: readonly ((high: number, low: number) => number[])[] = [
    (high, low) => [0, 0, 0, 0, 0, 0, high, low],
    (high, low) => [0, 0, 0, 0, 0, 0xffff, high, low],
    (high, low) => [0, 0, 0, 0, 0xffff, 0, high, low],
    (high, low) => [0x64, 0xff9b, 0, 0, 0, 0, high, low],
    (high, low) => [0x64, 0xff9b, 1, 0, 0, 0, high, low],
    (high, low) => [0x2002, high, low, 0, 0, 0, 0, 1],
    (high, low) => [0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, ~high & 0xffff, ~low & 0xffff],
  ]
  fc.assert(
    fc.property(inRange4(range), fc.constantFrom(...carriers), (address, carry) => {
      const value = bits4(address)
      const written = spellings(carry(Math.floor(value / 65536), value % 65536))
      return written.every((text) => !isPublicAddress(text))
    }),
  )
})

test.each(SPECIAL_6)('T88 no IPv6 address that is %s is public, however it is written', (_, start, bits) => {
  fc.assert(
    fc.property(inRange6(start, bits), (groups) => spellings(groups).every((text) => !isPublicAddress(text))),
    { numRuns: 300 },
  )
})

test('T88 IPv6: global unicast of no special range is public however it is written, but for zones; nothing else is', () => {
  const isGlobal = (groups: readonly number[]): boolean => (groups[0] ?? 0) >> 13 === 1 && !isIn6(groups)
  const check = (groups: readonly number[]): boolean =>
    spellings(groups).every((text) => isPublicAddress(text) === (isGlobal(groups) && !text.includes('%')))
  fc.assert(fc.property(anyGroups, check), { numRuns: 500 })
  fc.assert(fc.property(inRange6([0x2000], 3), check), { numRuns: 1000 })
  const known = ['2606:4700:4700::1111', '2a00:1450:4001:81b::200e', '2607:6bc0::10']
  expect(known.filter((address) => !isPublicAddress(address))).toEqual([])
})

test('T88 what is no address is not public', () => {
  const odd = [
    '',
    ' ',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '8.8.8.8 ',
    '8.8.8.8\n',
    '8.8.8.8%eth0',
    '[::1]',
    '::1%',
  ]
  expect([...odd, 'localhost', 'example.com', '08.8.8.8', '8.8.8', '1.2.3.4.5'].filter(isPublicAddress)).toEqual([])
  fc.assert(fc.property(fc.string(), (text) => isIP(text) !== 0 || !isPublicAddress(text)))
})
