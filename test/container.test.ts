import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkExposure } from '../core/config/exposure.ts'
import { resolveConfig } from '../core/config/resolve.ts'
import { ROOT } from './harness.ts'

const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

/** One instruction of a Dockerfile, its lines joined. */
interface Instruction {
  readonly name: string
  readonly rest: string
}

const dockerfile = read('Dockerfile')
const instructions: readonly Instruction[] = dockerfile
  .replaceAll(/^\s*#.*\n/gm, '')
  .replaceAll(/\s*\\\n\s*/g, ' ')
  .split('\n')
  .flatMap((line) => {
    const [, name, rest] = /^([A-Z]+) (.+)$/.exec(line) ?? []
    return name === undefined || rest === undefined ? [] : [{ name, rest }]
  })

const all = (name: string): string[] => instructions.flatMap((one) => (one.name === name ? [one.rest] : []))
const last = (name: string): string => all(name).at(-1) ?? ''

/** The files and folders that each COPY takes out of the repository. */
const copied = all('COPY')
  .filter((rest) => !rest.startsWith('--from='))
  .flatMap((rest) => rest.split(' ').slice(0, -1))

/** The lines of `.dockerignore`, as Docker reads them: `*` also stands for names with a dot in front. */
const ignored = read('.dockerignore')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const glob = line.replace(/^!/, '').replaceAll('.', '\\.')
    const pattern = glob.replaceAll(/\*\*\/|\*/g, (star) => (star === '*' ? '[^/]*' : '(?:.*/)?'))
    return { sends: line.startsWith('!'), pattern: new RegExp(`^${pattern}$`) }
  })

/** Whether a path gets into the build context: the last line decides that matches it or a folder above it. */
function isSent(path: string): boolean {
  const paths = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))
  return ignored.findLast(({ pattern }) => paths.some((one) => pattern.test(one)))?.sends ?? true
}

/** Runs a program to its end. */
async function run(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(String(chunk)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output: output.join('') }
}

describe('what the image is built from', () => {
  test('no registry but that of the base image, which can be replaced', () => {
    expect(dockerfile).not.toMatch(/^#\s*syntax\s*=/im)
    expect(instructions[0]).toMatchObject({ name: 'ARG', rest: expect.stringMatching(/^BASE_IMAGE=\S+$/) })
    const stages = all('FROM')
    expect(stages.length).toBeGreaterThan(1)
    for (const stage of stages) expect(stage).toMatch(/^\$\{BASE_IMAGE\}( AS \w+)?$/)
    const names = stages.slice(0, -1).map((stage) => stage.split(' AS ')[1])
    for (const [, from] of dockerfile.matchAll(/--from=(\S+)/g)) expect(names).toContain(from)
  })

  test('everything it copies is there and gets into the context', () => {
    expect(copied.length).toBeGreaterThan(5)
    expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    expect(copied.filter((path) => !isSent(path))).toEqual([])
    // The compiler does not miss a folder that is not there.
    const { include } = JSON.parse(read('tsconfig.build.json')) as { include: string[] }
    expect(copied).toEqual(expect.arrayContaining(include))
  })

  test.each([
    'node_modules/h3/package.json',
    '.git/HEAD',
    'data/secret',
    '.env',
    '.env.local',
    'core/.env',
    'plugins/auth-local/node_modules/x/index.js',
    'dist/core/cli.js',
    'mcp_config.json',
    'mcp-proxy.config.ts',
    'config/mcp_config.json',
    'key.pem',
  ])('%s stays out', (path) => {
    expect(isSent(path)).toBe(false)
  })
})

describe('the build', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-context-'))
    for (const path of copied) {
      const filter = (from: string) => from === join(ROOT, path) || isSent(from.slice(ROOT.length).replace(/^\//, ''))
      await cp(join(ROOT, path), join(folder, path), { recursive: true, filter })
    }
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('needs nothing of the repository but what is copied', async () => {
    expect(last('RUN')).not.toBe('')
    const build = all('RUN').find((rest) => rest.includes('scripts/build.ts'))
    expect(build).toMatch(/^node scripts\/build\.ts && echo "\$COMMIT" >dist\/commit\.txt /)
    expect(await run(['scripts/build.ts'], folder)).toEqual({ code: 0, output: '' })
    const { version } = JSON.parse(read('package.json')) as { version: string }
    const named = await run(['dist/core/cli.js', '--version'], folder)
    expect(named).toEqual({ code: 0, output: `mcp-proxy-server ${version} (commit unknown)\n` })
    const env = { ...process.env, MCP_DATA_DIR: 'data', MCP_LOG_LEVEL: 'error' }
    const checked = await run(['dist/core/cli.js', 'check'], folder, env)
    expect(checked).toEqual({ code: 0, output: 'No servers configured.\n' })
  }, 120_000)
})

describe('how the container runs', () => {
  const env = Object.fromEntries(
    all('ENV').flatMap((rest) => rest.split(' ').map((pair) => pair.split('=') as [string, string])),
  )
  const configOf = (more: NodeJS.ProcessEnv) =>
    resolveConfig({}, { rootDir: last('WORKDIR'), env: { ...env, ...more } })

  test('as a user without rights, below an init that hands signals on', () => {
    expect(last('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(JSON.parse(last('ENTRYPOINT'))).toEqual(['tini', '--', 'mcp-proxy-server'])
    expect(all('RUN').some((rest) => /apt-get install .*\btini\b/.test(rest))).toBe(true)
    expect(last('STOPSIGNAL')).toBe('SIGTERM')
  })

  test('what is written goes to the volume', () => {
    const volume = last('VOLUME')
    expect(configOf({}).dataDir).toBe(volume)
    expect(dirname(env.HOME ?? '')).toBe(volume)
    expect(all('RUN').some((rest) => rest.includes(`-m 700 ${volume} ${env.HOME}`))).toBe(true)
  })

  test('it starts without login and listens where the engine publishes it; permission can be withdrawn', () => {
    const config = configOf({})
    expect(config).toMatchObject({ host: '0.0.0.0', port: Number(last('EXPOSE')) })
    expect(() => checkExposure(config, false)).not.toThrow()
    const refused = expect.objectContaining({ code: 'ERR_PROXY_CONFIG' })
    expect(() => checkExposure(configOf({ MCP_ALLOW_UNAUTHENTICATED: '0' }), false)).toThrow(refused)
    expect(() => checkExposure(configOf({ MCP_BASE_URL: 'https://mcp.example.com' }), false)).toThrow(refused)
    expect(() => checkExposure(config, true)).toThrow('MCP_BASE_URL')
  })

  test.each([
    [200, 0],
    [503, 1],
  ])('its health check: %i on /healthz is exit code %i', async (status, code) => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(status).end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const [program, ...args] = JSON.parse(last('HEALTHCHECK').replace(/^.* CMD /, '')) as string[]
    expect(program).toBe('node')
    const port = String((server.address() as AddressInfo).port)
    expect(await run(args, ROOT, { ...process.env, MCP_PORT: port })).toEqual({ code, output: '' })
    expect(asked).toEqual(['/healthz'])
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    expect(await run(args, ROOT, { ...process.env, MCP_PORT: port })).toEqual({ code: 1, output: '' })
  })

  test('the compose example publishes to this machine alone and keeps the data', () => {
    const compose = read('compose.yaml')
    expect(compose.match(/^ +- [\d.:]+$/gm)).toEqual([`      - 127.0.0.1:${env.MCP_PORT}:${env.MCP_PORT}`])
    expect(compose).toContain(`- data:${last('VOLUME')}\n`)
  })

  test.each(['Dockerfile', 'compose.yaml', 'docs/container.md'])('%s names variables that there are', (name) => {
    const known = read('.env.example')
    const named = read(name).match(/\bMCP_[A-Z]+(?:_[A-Z]+)*\b/g) ?? []
    expect(named.length).toBeGreaterThan(0)
    const foreign = named.filter((variable) => variable !== 'MCP_PROXY_IMAGE' && !known.includes(variable))
    expect(foreign).toEqual([])
  })
})
