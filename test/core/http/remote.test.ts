import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRemotes } from '../../../core/http/remote.ts'
import { definePlugin, type Remote } from '../../../core/plugin.ts'
import { converse, send } from '../../fixtures/core/http.ts'
import { openProxy } from '../../harness.ts'

const TRUSTED = ['10.0.0.0/8', '192.168.1.7', '::1', 'fd00::/8']

/** Where a request of this peer comes from. */
function addressOf(ip: string | undefined, forwarded?: string, trusted: readonly string[] = TRUSTED): Remote {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  return createRemotes(trusted, () => {})(Object.assign(new Request('http://localhost/', { headers }), { ip }))
}

describe('the address of a caller', () => {
  it('is the peer, whatever the header says, unless that is a trusted proxy', () => {
    expect(addressOf('203.0.113.9')).toEqual({ address: '203.0.113.9' })
    expect(addressOf('203.0.113.9', '198.51.100.1')).toEqual({ address: '203.0.113.9' })
    expect(addressOf('203.0.113.9', '198.51.100.1, 10.0.0.1')).toEqual({ address: '203.0.113.9' })
    expect(addressOf('10.0.0.1', '198.51.100.1', [])).toEqual({ address: '10.0.0.1' })
    expect(addressOf('192.168.1.8', '198.51.100.1')).toEqual({ address: '192.168.1.8' })
  })

  it('is absent where there is no network', () => {
    expect(addressOf(undefined, '198.51.100.1')).toEqual({})
    expect(addressOf('', '198.51.100.1')).toEqual({})
    expect(createRemotes(TRUSTED, () => {})(new Request('http://localhost/'))).toEqual({})
  })

  it.each([
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['10.0.0.1', '198.51.100.1,10.0.0.2 , 10.1.2.3', '198.51.100.1'],
    ['192.168.1.7', '198.51.100.1', '198.51.100.1'],
    ['::1', '2001:db8::1', '2001:db8::1'],
    ['fd00::1', '198.51.100.1, fd12:3456::1', '198.51.100.1'],
    // All of them are trusted: the one furthest away.
    ['10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ])('behind %s with "%s" it is %s', (peer, forwarded, address) => {
    expect(addressOf(peer, forwarded)).toEqual({ address })
  })

  it.each([
    ['198.51.100.1:4711'],
    ['[::ffff:198.51.100.1]'],
    ['[::ffff:198.51.100.1]:4711'],
    ['::ffff:198.51.100.1'],
    ['::FFFF:198.51.100.1'],
    ['  198.51.100.1\t'],
  ])('is written in one way only: %s', (forwarded) => {
    expect(addressOf('10.0.0.1', forwarded)).toEqual({ address: '198.51.100.1' })
  })

  it.each([
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    // Not a port: in an address of version 6 nobody could tell.
    ['2001:db8::4711', '2001:db8::4711'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
  ])('of version 6 has no brackets and no port: %s', (forwarded, address) => {
    expect(addressOf('10.0.0.1', forwarded)).toEqual({ address })
  })

  it('is told by a peer of version 4 in the clothes of version 6 too, on either side', () => {
    expect(addressOf('::ffff:10.0.0.1', '198.51.100.1')).toEqual({ address: '198.51.100.1' })
    expect(addressOf('::ffff:203.0.113.9', '198.51.100.1')).toEqual({ address: '203.0.113.9' })
    expect(addressOf('10.0.0.1', '198.51.100.1, ::ffff:10.0.0.2')).toEqual({ address: '198.51.100.1' })
    expect(addressOf('10.0.0.1', '198.51.100.1', ['::ffff:10.0.0.1'])).toEqual({ address: '198.51.100.1' })
  })

  it.each([
    ['unknown'],
    ['_hidden'],
    ['198.51.100'],
    ['198.51.100.256'],
    ['198.51.100.1.2'],
    ['0x7f.0.0.1'],
    ['[198.51.100.1'],
    ['2001:db8::1]'],
    ['[2001:db8::1]x'],
    ['for=198.51.100.1'],
    ['198.51.100.1 10.0.0.2'],
    ['<script>'],
    [''],
    [' '],
  ])('goes no further to the left than a part that is none: "%s"', (part) => {
    expect(addressOf('10.0.0.1', part)).toEqual({ address: '10.0.0.1' })
    expect(addressOf('10.0.0.1', `198.51.100.1, ${part}, 10.0.0.2`)).toEqual({ address: '10.0.0.2' })
  })
})

describe('properties', () => {
  const v4 = fc.ipV4()
  const outside = v4.filter((address) => !/^(?:10\.|192\.168\.1\.7$)/.test(address))
  const inside = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => `10.${parts.join('.')}`)
  /** Anything a header may hold. */
  const text = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) })
  const spoofed = fc.oneof(
    text,
    v4,
    inside,
    fc.array(fc.oneof(v4, inside, text)).map((parts) => parts.join(', ')),
  )
  /** As proxies write it. */
  const dressed = (address: string) =>
    fc.constantFrom(address, `${address}:80`, `::ffff:${address}`, `[::ffff:${address}]:80`, ` ${address} `)

  it('what a client says of itself never counts, however many proxies it came through', () => {
    fc.assert(
      fc.property(
        spoofed,
        outside.chain((real) => fc.tuple(fc.constant(real), dressed(real))),
        fc.array(inside),
        inside,
        (lie, [real, written], between, peer) => {
          const forwarded = [lie, written, ...between].join(',')
          expect(addressOf(peer, forwarded)).toEqual({ address: real })
        },
      ),
    )
  })

  it('what it says counts for nothing where it is the peer', () => {
    fc.assert(
      fc.property(spoofed, outside, (lie, peer) => {
        expect(addressOf(peer, lie)).toEqual({ address: peer })
      }),
    )
  })

  it('nothing in the header throws, and what comes out is an address', () => {
    fc.assert(
      fc.property(spoofed, inside, (lie, peer) => {
        expect(addressOf(peer, lie).address).toMatch(/^[\d.]+$|^[\da-f:.]+(?:%.+)?$/i)
      }),
    )
  })
})

describe('on the wire', () => {
  const seen: Remote[] = []
  const who = definePlugin({
    name: 'test-who',
    setup: () => ({
      routes: [
        {
          path: '/who',
          handler(_, from) {
            seen.push(from)
            return new Response('ok')
          },
        },
      ],
    }),
  })

  it.each([
    [[], '127.0.0.1'],
    [['127.0.0.0/8'], '203.0.113.9'],
  ] as const)('a route is told of it; with the proxies %j it is %s', async (trustedProxies, address) => {
    const proxy = await openProxy({ plugins: [who, 'storage-fs'], trustedProxies })
    try {
      const headers = { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' }
      expect((await send(`${proxy.origin}/who`, { headers })).status).toBe(200)
      expect(seen.splice(0)).toEqual([{ address }])
    } finally {
      await proxy.close()
    }
  })

  it('a header that comes in several lines is one list', async () => {
    const proxy = await openProxy({ plugins: [who, 'storage-fs'], trustedProxies: ['127.0.0.1', '10.0.0.0/8'] })
    try {
      async function* lines() {
        yield 'GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n'
        yield 'X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 10.0.0.1\r\n\r\n'
      }
      expect(await converse(proxy.origin, lines())).toMatch(/^HTTP\/1\.1 200 /)
      expect(seen.splice(0)).toEqual([{ address: '203.0.113.9' }])
    } finally {
      await proxy.close()
    }
  })
})

it('a neighbour that forwards for others and is not trusted is told of once; a stranger never is', () => {
  const warned: string[] = []
  const remotes = createRemotes(['10.9.0.0/16'], (message) => warned.push(message))
  const ask = (ip: string, forwarded?: string) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    return remotes(Object.assign(new Request('http://localhost/', { headers }), { ip }))
  }
  ask('10.9.0.1', '198.51.100.7')
  ask('198.51.100.9', '10.0.0.1')
  ask('127.0.0.1')
  expect(warned).toEqual([])
  for (let times = 0; times < 3; times++) expect(ask('127.0.0.1', '198.51.100.7')).toEqual({ address: '127.0.0.1' })
  expect(warned).toEqual([expect.stringMatching(/through 127\.0\.0\.1.*MCP_TRUSTED_PROXIES/)])
})
