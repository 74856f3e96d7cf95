import fc from 'fast-check'
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import { documentUrl, isDocumentId } from '../../../../plugins/auth-oauth/cimd/client-id.ts'

const OWN = 'mcp.example.net'
const accepted = (id: string, hosts?: readonly string[]): boolean => typeof documentUrl(id, OWN, hosts) !== 'string'

/** Whether it is a name of the public Internet as far as one can see: two labels at least, none of them a number at the end. */
const isPublicLooking = (name: string): boolean =>
  isIP(name) === 0 &&
  /^(?!-)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z][a-z0-9-]*$/.test(name) &&
  !/\.(?:localhost|local|internal)$/.test(name)

describe('the URL of a document', () => {
  test.each([
    'https://claude.ai/oauth/mcp-oauth-client-metadata',
    'https://claude.ai/oauth/claude-code-client-metadata',
    'https://chatgpt.com/oauth/client.json',
    'https://chatgpt.com/oauth/kDmjx77UnKOM/client.json',
    'https://client.mcp-test.com/a?x=1',
    'https://client.mcp-test.com/a/',
    'https://client.mcp-test.com/%41',
    'https://xn--bcher-kva.com/client',
    'https://a.b.c.d.mcp-test.com/x;y=z/@me/a:b/~tilde',
  ])('T88 %s is one', (id) => {
    const url = documentUrl(id, OWN)
    expect(url).toBeInstanceOf(URL)
    expect((url as URL).href).toBe(id)
  })

  test.each([
    ['http', 'http://client.mcp-test.com/a'],
    ['another scheme', 'ftp://client.mcp-test.com/a'],
    ['the scheme in capitals', 'HTTPS://client.mcp-test.com/a'],
    ['no slashes', 'https:client.mcp-test.com/a'],
    ['one slash', 'https:/client.mcp-test.com/a'],
    ['three slashes', 'https:///client.mcp-test.com/a'],
    ['backslashes', 'https:\\\\client.mcp-test.com\\a'],
    ['a backslash in the path', 'https://client.mcp-test.com/a\\b'],
    ['a space before it', ' https://client.mcp-test.com/a'],
    ['a space in it', 'https://client.mcp-test.com/a b'],
    ['a line break', 'https://client.mcp-test.com/a\r\nx: y'],
    ['a tab in the host', 'https://client.mcp-\ttest.com/a'],
    ['a NUL', 'https://client.mcp-test.com/a\0'],
    ['letters that are not ASCII', 'https://client.mcp-test.com/ä'],
    ['a host that is not in punycode', 'https://bücher.com/client'],
    ['a fullwidth host', 'https://ｃlaude.ai/client'],
    ['an ideographic full stop', 'https://claude。ai/client'],
    ['a host in capitals', 'https://Client.mcp-test.com/a'],
    ['a percent-encoded host', 'https://%63lient.mcp-test.com/a'],
    ['a fragment', 'https://client.mcp-test.com/a#b'],
    ['an empty fragment', 'https://client.mcp-test.com/a#'],
    ['a user', 'https://user@client.mcp-test.com/a'],
    ['a user and a password', 'https://user:password@client.mcp-test.com/a'],
    ['an empty user', 'https://@client.mcp-test.com/a'],
    ['a user that looks like a host', 'https://claude.ai@client.mcp-test.com/a'],
    ['the default port', 'https://client.mcp-test.com:443/a'],
    ['an empty port', 'https://client.mcp-test.com:/a'],
    ['another port', 'https://client.mcp-test.com:8443/a'],
    ['the port of another service', 'https://client.mcp-test.com:22/a'],
    ['no path', 'https://client.mcp-test.com'],
    ['the root', 'https://client.mcp-test.com/'],
    ['the root with a query', 'https://client.mcp-test.com/?a=b'],
    ['a dot segment', 'https://client.mcp-test.com/a/../b'],
    ['a dot segment that is percent-encoded', 'https://client.mcp-test.com/a/%2e%2e/b'],
    ['a dot segment half encoded', 'https://client.mcp-test.com/a/.%2E/b'],
    ['a single dot', 'https://client.mcp-test.com/./a'],
    ['1 kB and more', `https://client.mcp-test.com/${'a'.repeat(1024)}`],
    ['an IPv4 address', 'https://93.184.216.34/a'],
    ['this machine', 'https://127.0.0.1/a'],
    ['a short form of it', 'https://127.1/a'],
    ['a decimal form', 'https://2130706433/a'],
    ['a hexadecimal form', 'https://0x7f000001/a'],
    ['a hexadecimal form with dots', 'https://0x7f.0.0.1/a'],
    ['an octal form', 'https://0177.0.0.1/a'],
    ['an address with a dot at the end', 'https://127.0.0.1./a'],
    ['zero', 'https://0/a'],
    ['an IPv6 address', 'https://[2606:4700:4700::1111]/a'],
    ['IPv6 loopback', 'https://[::1]/a'],
    ['mapped loopback', 'https://[::ffff:127.0.0.1]/a'],
    ['mapped loopback, as browsers write it', 'https://[::ffff:7f00:1]/a'],
    ['NAT64', 'https://[64:ff9b::7f00:1]/a'],
    ['6to4', 'https://[2002:7f00:1::]/a'],
    ['unique local', 'https://[fd00::1]/a'],
    ['a zone', 'https://[fe80::1%25eth0]/a'],
    ['localhost', 'https://localhost/a'],
    ['localhost with a dot', 'https://localhost./a'],
    ['a name under localhost', 'https://client.localhost/a'],
    ['a single label', 'https://metadata/a'],
    ['a dot at the end', 'https://client.mcp-test.com./a'],
    ['a metadata service', 'https://metadata.google.internal/computeMetadata/v1'],
    ['the metadata address', 'https://169.254.169.254/latest/meta-data'],
    ['.internal', 'https://client.corp.internal/a'],
    ['.local', 'https://printer.local/a'],
    ['.lan', 'https://router.lan/a'],
    ['.home.arpa', 'https://router.home.arpa/a'],
    ['.test', 'https://client.test/a'],
    ['.invalid', 'https://client.invalid/a'],
    ['.example', 'https://client.example/a'],
    ['.onion', 'https://client.onion/a'],
    ['this very proxy', `https://${OWN}/a`],
  ])('T88 %s: none', (_, id) => {
    expect(accepted(id)).toBe(false)
  })

  test('T88 whatever is taken for one is fetched just as it is written, over https, from a public-looking name', () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV4Extended(),
      fc.ipV6().map((address) => `[${address}]`),
      fc.constantFrom(
        'localhost',
        OWN,
        'claude.ai',
        'a.internal',
        'b.local',
        'claude.ai.',
        'CLAUDE.ai',
        '127.1',
        'a.1',
      ),
    )
    const ids = fc.oneof(
      fc
        .tuple(fc.domain(), fc.webPath(), fc.constantFrom('', '?x=1'))
        .map(([name, path, query]) => `https://${name}/a${path}${query}`),
      fc.webUrl({ validSchemes: ['https', 'http'], withQueryParameters: true, withFragments: true }),
      fc
        .tuple(
          fc.constantFrom('https://', 'https:', 'http://', 'HTTPS://', 'https:///', 'https://u@', 'https://u:p@'),
          host,
          fc.constantFrom('', ':', ':443', ':8443', '.', '%2e'),
          fc.oneof(fc.webPath(), fc.constantFrom('/a', '/%41', '/a/..', '/%2e%2e/a', '/a\\b', '/a b', '//a')),
          fc.constantFrom('', '?', '?x=1', '#', '#f'),
        )
        .map((parts) => parts.join('')),
      fc.string(),
    )
    let taken = 0
    fc.assert(
      fc.property(ids, (id) => {
        const url = documentUrl(id, OWN)
        if (typeof url === 'string') return
        taken++
        const { href, protocol, port, username, password, hash, hostname } = url
        const isAsWritten = href === id && new URL(id).href === id && protocol === 'https:'
        const isBare = [port, username, password, hash].every((part) => part === '')
        if (isAsWritten && isBare && isPublicLooking(hostname) && hostname !== OWN && isDocumentId(id)) return
        throw new Error(`taken for one: ${id}`)
      }),
      { numRuns: 1500 },
    )
    expect(taken).toBeGreaterThan(100)
  })
})

test('T91 with cimdHosts only these hosts count: not what is under them, beside them or looks like them', () => {
  const hosts = ['claude.ai', 'client.mcp-test.com']
  for (const id of ['https://claude.ai/oauth/x', 'https://client.mcp-test.com/a'])
    expect(accepted(id, hosts)).toBe(true)
  const others = [
    'https://chatgpt.com/oauth/client.json',
    'https://x.claude.ai/a',
    'https://claude.ai.mcp-test.com/a',
    'https://xclaude.ai/a',
    'https://mcp-test.com/a',
    'https://evil.com/claude.ai',
    'https://evil.com/?https://claude.ai/a',
  ]
  expect(others.filter((id) => accepted(id, hosts))).toEqual([])
  expect(accepted('https://claude.ai/oauth/x', [])).toBe(false)
})
