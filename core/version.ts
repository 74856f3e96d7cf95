import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json: one up from `core/` in the repository, two up from `dist/core/` in the package. */
const root = findRoot()

/** The package's version. */
export const version: string = readVersion()

/**
 * The commit this was built from, short: `dist/commit.txt`, which the build writes, or git's own answer in a checkout;
 * `unknown` elsewhere. A `.git` further up belongs to a project that merely installed this package, so it is not asked.
 */
export function commit(): string {
  const built = readText(join(root, 'dist', 'commit.txt'))
  const inCheckout = existsSync(join(root, '.git'))
  if (!inCheckout) return built?.trim().slice(0, 12) || 'unknown'
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 2000,
    }).trim()
  } catch {
    return 'unknown'
  }
}

function findRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const up = dirname(here)
  return existsSync(join(up, 'package.json')) ? up : dirname(up)
}

function readVersion(): string {
  const parsed: unknown = JSON.parse(readText(join(root, 'package.json')) ?? '{}')
  const found = typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined
  return typeof found === 'string' ? found : '0.0.0'
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
