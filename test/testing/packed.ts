import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '../harness.ts'

const MODULES = join(ROOT, 'node_modules')
/** How long (ms) one command may take. */
const LIMIT = 120_000

/** Runs a command in a folder; rejects with all it has printed when it fails. */
export async function runIn(cwd: string, command: string, ...args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { cwd, timeout: LIMIT, maxBuffer: 64 * 1024 * 1024 })).stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${command} ${args.join(' ')} in ${cwd} failed:\n${stdout}\n${stderr}`, { cause: error })
  }
}

/** Builds and packs this package in `folder`, beside the `dist/` that others may be using; resolves the tarball's path. */
export async function packProduct(folder: string): Promise<string> {
  const stage = join(folder, 'product')
  await runIn(
    ROOT,
    process.execPath,
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.build.json',
    '--outDir',
    join(stage, 'dist'),
  )
  for (const name of ['package.json', 'schema', 'LICENSE', 'README.md']) {
    await cp(join(ROOT, name), join(stage, name), { recursive: true })
  }
  return pack(stage, folder, '--ignore-scripts')
}

/** Packs the package in `from`; resolves the tarball's path. */
export async function pack(from: string, into: string, ...flags: readonly string[]): Promise<string> {
  const printed = await runIn(from, 'npm', 'pack', '--silent', ...flags, '--pack-destination', into)
  return join(into, printed.trim().split('\n').at(-1) ?? '')
}

/** Unpacks the product's tarball into a folder's `node_modules`, with what it depends on. */
export async function installProduct(tarball: string, folder: string): Promise<void> {
  const place = join(folder, 'node_modules', 'mcp-proxy-server')
  await mkdir(place, { recursive: true })
  await runIn(place, 'tar', '-xzf', tarball, '--strip-components=1')
  const { dependencies = {} } = JSON.parse(await readFile(join(place, 'package.json'), 'utf8')) as Manifest
  await link(folder, Object.keys(dependencies))
}

/** Puts packages of this repository into a folder's `node_modules`: no network is needed for them. */
export async function link(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const place = join(folder, 'node_modules', name)
    await mkdir(dirname(place), { recursive: true })
    await symlink(join(MODULES, name), place)
  }
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
}
