import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispose, run } from './fixtures/cli/run.ts'
import { messagesOf, postModern, ROOT } from './harness.ts'
import { installProduct, link, pack, packProduct, runIn } from './testing/packed.ts'

const TEMPLATE = join(ROOT, 'examples/plugin-template')

let folder: string
/** The tarball of this package. */
let product: string
/** A copy of the template with everything installed that its package.json asks for. */
let copy: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-template-'))
  product = await packProduct(folder)
  copy = join(folder, 'mcp-proxy-plugin-example')
  await cp(TEMPLATE, copy, { recursive: true, filter: (path) => !/\/(?:node_modules|dist)$/.test(path) })
  await installProduct(product, copy)
  await link(copy, Object.keys((await manifestOf(copy)).devDependencies ?? {}))
  await mkdir(join(copy, 'node_modules/.bin'))
  await symlink('../typescript/bin/tsc', join(copy, 'node_modules/.bin/tsc'))
}, 120_000)

afterAll(async () => {
  await dispose()
  await rm(folder, { recursive: true, force: true })
})

test('asks for the versions that this repository has', async () => {
  const [ours, its] = [await manifestOf(ROOT), await manifestOf(TEMPLATE)]
  for (const [name, version] of Object.entries(its.devDependencies ?? {})) {
    expect([name, version]).toEqual([name, ours.devDependencies?.[name]])
  }
  expect(its.peerDependencies).toEqual({ 'mcp-proxy-server': `^${ours.version}` })
  expect(its.engines).toEqual(ours.engines)
})

test('builds and passes its tests: the suites of the packed kit, and calls through a real proxy', async () => {
  const printed = await runIn(copy, 'npm', 'test')
  expect(printed).toMatch(/^(?:ℹ|#) fail 0$/m)
  // 11 of the plugin suite, 9 of the middleware suite, and its own.
  expect(printed).toMatch(/^(?:ℹ|#) pass 21$/m)
}, 120_000)

test('packs, and is loaded by its short name where it is installed', async () => {
  const tarball = await pack(copy, folder)
  const elsewhere = join(folder, 'elsewhere')
  await mkdir(elsewhere)
  await writeFile(join(elsewhere, 'package.json'), '{"private":true}')
  // The proxy, which it is a plugin of, is put beside it below: no registry is asked for it.
  await runIn(elsewhere, 'npm', 'install', '--offline', '--no-audit', '--no-fund', '--legacy-peer-deps', tarball)
  await installProduct(product, elsewhere)
  const server = '@modelcontextprotocol/server-everything'
  await link(elsewhere, [server])
  const config = {
    port: 0,
    plugins: ['transport-stdio', 'storage-fs', ['example', { perMinute: 2 }]],
    mcpServers: { everything: { command: process.execPath, args: [`node_modules/${server}/dist/index.js`] } },
  }
  await writeFile(join(elsewhere, 'mcp-proxy.config.mjs'), `export default ${JSON.stringify(config)}`)
  const proxy = run(join(elsewhere, 'node_modules/mcp-proxy-server/dist/core/cli.js'), [], { cwd: elsewhere })
  const url = (await proxy.until(/^ready (\S+)$/m))[1] ?? ''
  const call = async (message: string) =>
    (await messagesOf(await postModern(url, 'tools/call', { name: 'everything_echo', arguments: { message } })))[0]
  expect(await call('one')).toMatchObject({ result: { content: [{ type: 'text', text: 'Echo: one' }] } })
  expect(await call('two')).toMatchObject({ result: { content: [{ type: 'text', text: 'Echo: two' }] } })
  expect(await call('three')).toMatchObject({ error: { message: expect.stringMatching(/^Too many calls/) } })
  proxy.child.kill('SIGTERM')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect(proxy.output()).toContain('1 calls were refused')
}, 120_000)

interface Manifest {
  readonly version: string
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly engines?: Readonly<Record<string, string>>
}

async function manifestOf(path: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as Manifest
}
