import { expect, test } from 'vitest'
import { showBanner } from '../../../core/cli/banner.ts'

const urls = { local: 'http://127.0.0.1:8080/mcp', client: 'https://mcp.example.com/mcp' }

/** What is written of a proxy without servers. */
async function bannerOf(authenticated: boolean, host: string): Promise<readonly string[]> {
  const written: string[] = []
  const out = { isTTY: false, write: (text: string) => written.push(text) > 0 } as unknown as NodeJS.WriteStream
  const kernel = { upstreams: [], on: () => () => {}, ready: Promise.resolve(), authenticated }
  await showBanner({ kernel, urls, host, signal: new AbortController().signal, out, log: out })
  return written.join('').split('\n')
}

test('with authentication it names the address that logins are bound to', async () => {
  const lines = await bannerOf(true, '0.0.0.0')
  expect(lines).toContain(`Listening on ${urls.local}`)
  expect(lines).toContain(`Login required: clients know the endpoint as ${urls.client}`)
  expect(lines).toContain(`Add it to a client:  claude mcp add --transport http mcp-proxy ${urls.client}`)
  expect(lines).toContain(`ready ${urls.client}`)
  expect(lines.join('\n')).not.toContain('No authentication')
})

test('without it says who can connect, and where it is on this machine', async () => {
  const near = await bannerOf(false, '127.0.0.1')
  expect(near).toContain('No authentication: only this machine can connect (127.0.0.1)')
  expect(near).toContain(`ready ${urls.local}`)
  expect(near.join('\n')).not.toContain('Login required')
  const far = await bannerOf(false, '0.0.0.0')
  expect(far).toContain('No authentication: everybody who reaches 0.0.0.0 can use every tool')
})
