import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusalPage } from '../../../fixtures/oauth/answers.ts'
import { sealNetwork } from '../../../fixtures/oauth/network.ts'
import { ORIGIN } from '../../../fixtures/oauth/proxy.ts'
import { authorize, clientOf, documentAt, HOUR, ID, openDocumented, type DocumentedProxy } from './support.ts'

let opened: DocumentedProxy
beforeAll(async () => void (opened = await openDocumented()))
beforeEach(() => opened.proxy.pass(HOUR))
afterAll(() => opened.close())

/** Ids that nobody is asked about: no look-up, no connection. */
const refused = [
  'http://client.mcp-test.com/client.json',
  'https://client.mcp-test.com:8443/client.json',
  'https://client.mcp-test.com:443/client.json',
  'https://user:password@client.mcp-test.com/client.json',
  'https://client.mcp-test.com/client.json#x',
  'https://client.mcp-test.com',
  'https://client.mcp-test.com/',
  'https://client.mcp-test.com./client.json',
  'https://Client.mcp-test.com/client.json',
  'https://127.0.0.1/client.json',
  'https://2130706433/client.json',
  'https://0x7f.1/client.json',
  'https://[::1]/client.json',
  'https://[::ffff:127.0.0.1]/client.json',
  'https://169.254.169.254/latest/meta-data',
  'https://10.0.0.1/client.json',
  'https://93.184.216.34/client.json',
  'https://localhost/client.json',
  'https://app.localhost/client.json',
  'https://metadata/computeMetadata/v1',
  'https://metadata.google.internal/computeMetadata/v1',
  'https://vault.corp.internal/client.json',
  'https://printer.local/client.json',
  `${ORIGIN}/client.json`,
  `${ORIGIN}/authorize?client_id=${encodeURIComponent(`${ORIGIN}/authorize`)}`,
  `https://client.mcp-test.com/${'x'.repeat(2000)}`,
]

test.each(refused)('T88 client_id %s: a page, and nobody is asked', async (client_id) => {
  const { proxy, server } = opened
  const network = sealNetwork()
  try {
    const text = await refusalPage(await authorize(proxy, clientOf(client_id)))
    expect(text).toContain('not known')
    expect(network.tries).toEqual([])
  } finally {
    network.open()
  }
  expect([server.resolved, server.connections]).toEqual([[], 0])
})

test('T88 the same as JSON for a program', async () => {
  const response = await authorize(opened.proxy, clientOf('https://localhost/a'), { accept: 'application/json' })
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: 'invalid_client' })
})

const addresses: [string, string[]][] = [
  ['loopback', ['127.0.0.1']],
  ['another loopback', ['127.8.9.10']],
  ['IPv6 loopback', ['::1']],
  ['mapped loopback', ['::ffff:127.0.0.1']],
  ['this network', ['0.0.0.0']],
  ['private', ['10.0.0.1']],
  ['private', ['172.31.255.255']],
  ['private', ['192.168.0.1']],
  ['link-local', ['169.254.169.254']],
  ['carrier-grade NAT', ['100.64.0.1']],
  ['NAT64 of loopback', ['64:ff9b::7f00:1']],
  ['6to4 of a private address', ['2002:c0a8:1::1']],
  ['Teredo', ['2001:0:4136:e378:8000:63bf:3fff:fdd2']],
  ['unique local', ['fd12:3456::1']],
  ['IPv6 link-local', ['fe80::1']],
  ['a public one and a private one', ['93.184.216.34', '10.0.0.1']],
  ['a private one and a public one', ['10.0.0.1', '93.184.216.34']],
  ['a public one and private IPv6', ['93.184.216.34', 'fd00::1']],
  ['many public ones and loopback', ['1.1.1.1', '8.8.8.8', '9.9.9.9', '2606:4700:4700::1111', '127.0.0.1']],
]

test.each(addresses)('T88 a name whose address is %s (%j): a page, one look-up, no connection', async (_, found) => {
  const { proxy, server } = opened
  const client_id = `https://rebinding.mcp-test.com/${encodeURIComponent(found.join())}`
  const { isAllowed, resolve, ...rest } = server.options
  let asked = 0
  Object.assign(server.options, {
    isAllowed: undefined,
    resolve: async () => {
      asked++
      return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
  })
  delete server.options.isAllowed
  const network = sealNetwork()
  try {
    await refusalPage(await authorize(proxy, clientOf(client_id)))
    expect([asked, network.tries]).toEqual([1, []])
    // Nor is it looked up again so soon.
    await refusalPage(await authorize(proxy, clientOf(client_id)))
    expect([asked, network.tries]).toEqual([1, []])
  } finally {
    network.open()
    Object.assign(server.options, rest, { isAllowed, resolve })
  }
  expect(server.connections).toBe(0)
  expect(proxy.log()).toContain(
    'client metadata at rebinding.mcp-test.com cannot be used: its name leads to an address',
  )
})

test('T88 rebinding: what is connected to is what was looked at, and there is one look-up', async () => {
  const { proxy, server } = opened
  const resolve = server.options.resolve!
  const answers = ['127.0.0.1', '169.254.169.254', '10.0.0.1']
  const left = [...answers]
  server.options.resolve = async () => [{ address: left.shift() ?? '', family: 4 }]
  server.put(documentAt(ID))
  try {
    const response = await authorize(proxy)
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toMatch(/^\/consent\?/)
    expect(left).toEqual(answers.slice(1))
    expect(server.asked.map(({ url }) => url)).toEqual([ID])
  } finally {
    server.options.resolve = resolve
    server.remove(ID)
  }
})

test.each([301, 302, 303, 307, 308])('T88 a redirect (%i) leads nowhere', async (status) => {
  const { proxy, server } = opened
  const target = 'https://target.mcp-test.com/client.json'
  const client_id = `https://client.mcp-test.com/${status}`
  server.put(documentAt(client_id), target)
  const { answer } = server
  const [before, looked] = [server.asked.length, server.resolved.length]
  server.answer = (_request, response) => void response.writeHead(status, { location: target }).end()
  try {
    await refusalPage(await authorize(proxy, clientOf(client_id)))
    expect(server.asked.slice(before).map(({ url }) => url)).toEqual([client_id])
    expect(server.resolved.slice(looked)).toEqual(['client.mcp-test.com'])
  } finally {
    server.answer = answer
  }
})

test('T88 redirect URIs, logo and pages that a document names are never fetched', async () => {
  const { proxy, server } = opened
  const client_id = 'https://client.mcp-test.com/links'
  const links = {
    logo_uri: 'https://logo.mcp-test.com/x.png',
    client_uri: 'https://x.mcp-test.com/',
    jwks_uri: 'https://jwks.mcp-test.com/',
  }
  server.put(documentAt(client_id, { ...links, policy_uri: 'http://169.254.169.254/', tos_uri: 'https://localhost/' }))
  const before = server.resolved.length
  const { page } = await proxy.toConsent(proxy.browser(), proxy.request(clientOf(client_id)).url)
  expect(page).not.toMatch(/logo\.mcp-test|169\.254|<img/)
  expect(server.resolved.slice(before)).toEqual(['client.mcp-test.com'])
})
