import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dispose, run } from './fixtures/cli/run.ts'
import { ROOT } from './harness.ts'
import { link, runIn } from './testing/packed.ts'

/** A folder with every sample of the guide in a file of its own, as its first line says. */
let folder: string
let samples: Record<string, string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-guide-'))
  samples = await samplesOf(join(ROOT, 'docs/plugins.md'))
  for (const [name, text] of Object.entries(samples)) await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await write('node_modules/mcp-proxy-plugin-tally/package.json', '{"type":"module","exports":"./index.js"}')
  await write('node_modules/mcp-proxy-plugin-tally/index.js', "export { default } from '../../tally.ts'\n")
  await link(folder, ['@types/node', '@modelcontextprotocol/server-everything', 'consola', 'unstorage'])
  await installSources()
})

afterAll(async () => {
  await dispose()
  await rm(folder, { recursive: true, force: true })
})

test('shows the files that it talks of', () => {
  expect(Object.keys(samples).sort()).toEqual(['hello.ts', 'mcp-proxy.config.ts', 'tally.test.ts', 'tally.ts'])
})

test('its samples are well typed, as strictly as the template', async () => {
  const template = JSON.parse(await readFile(join(ROOT, 'examples/plugin-template/tsconfig.json'), 'utf8'))
  const { rootDir: _root, outDir: _out, declaration: _declaration, ...strict } = template.compilerOptions
  const compilerOptions = { ...strict, noEmit: true, allowImportingTsExtensions: true }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  await runIn(folder, process.execPath, join(ROOT, 'node_modules/typescript/bin/tsc'))
}, 60_000)

test('its plugin passes its tests', async () => {
  const printed = await runIn(folder, process.execPath, '--test', 'tally.test.ts')
  expect(printed).toMatch(/^(?:ℹ|#) fail 0$/m)
  expect(printed).toMatch(/^(?:ℹ|#) pass 20$/m)
}, 60_000)

test('its configuration loads one plugin by value and one by its short name', async () => {
  const env = { TALLY_TOKEN: 'token' }
  const proxy = run(join(ROOT, 'core/cli.ts'), ['--port', '0'], { cwd: folder, env })
  const ready = (await proxy.until(/^ready (\S+)$/m))[1] ?? ''
  await proxy.until(/every server has settled/)
  const answer = await fetch(new URL('/counts', ready), { headers: { authorization: 'Bearer token' } })
  expect([answer.status, await answer.json()]).toEqual([200, {}])
  proxy.child.kill('SIGTERM')
  expect((await proxy.ended).code).toBe(0)
}, 60_000)

/** The guide's TypeScript, by file name. */
async function samplesOf(guide: string): Promise<Record<string, string>> {
  const blocks = [...(await readFile(guide, 'utf8')).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = '']) => text)
  return Object.fromEntries(blocks.map((text) => [/^\/\/ (\S+)\n/.exec(text)?.[1] ?? 'without a name', text]))
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
}

/** The sources under the name of the package: nothing has to be built. */
async function installSources(): Promise<void> {
  const place = 'node_modules/mcp-proxy-server'
  const homes = {
    '.': 'core/index.ts',
    './testing': 'testing/index.ts',
    './plugins/auth-oauth': 'plugins/auth-oauth/index.ts',
  }
  const exported: Record<string, string> = {}
  for (const [path, home] of Object.entries(homes)) {
    const name = home.replaceAll('/', '-').replace(/\.ts$/, '')
    exported[path] = `./${name}.js`
    await write(`${place}/${name}.js`, `export * from '../../sources/${home}'\n`)
    await write(`${place}/${name}.d.ts`, `export * from '../../sources/${home}'\n`)
  }
  await write(`${place}/package.json`, JSON.stringify({ type: 'module', exports: exported }))
  await symlink(ROOT, join(folder, 'sources'))
}
