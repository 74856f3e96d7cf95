import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConsolaInstance } from 'consola'
import { ProxyError, reasonOf } from './errors.ts'

/** Shortest secret, in bytes: what HKDF needs to give 256-bit keys their strength. */
const SECRET_BYTES = 32

interface SecretOptions {
  /** A comma-separated ring, active first; absent or blank: the file `secret` of the data folder. */
  readonly secret?: string | undefined
  readonly dataDir: string
  readonly logger?: Pick<ConsolaInstance, 'info' | 'warn'>
}

/**
 * The secrets of the key ring, active first. Without one given, `<dataDir>/secret` is read, or made (0600) when it is not there;
 * processes that start together agree on one. Rejects `ERR_PROXY_CONFIG` for a secret that is too short or a folder that cannot be used.
 */
export async function loadSecrets({ secret, dataDir, logger }: SecretOptions): Promise<string[]> {
  if (secret !== undefined && secret.trim() !== '') return parseRing(secret, 'MCP_SECRET')
  const path = join(dataDir, 'secret')
  try {
    const found = await read(path)
    if (found === undefined) {
      if (await make(path, dataDir))
        logger?.info(`keys: made a new secret in ${path}; logins and sessions last as long as this file`)
    } else if (await isShared(path)) {
      logger?.warn(`keys: other users can read ${path}; run: chmod 600 ${path}`)
    }
    return parseRing(found ?? (await readFile(path, 'utf8')), path)
  } catch (error) {
    if (error instanceof ProxyError) throw error
    const reason = `keys: cannot use ${path}: ${reasonOf(error)}; make MCP_DATA_DIR writable or set MCP_SECRET`
    throw new ProxyError('ERR_PROXY_CONFIG', reason, { cause: error })
  }
}

function parseRing(text: string, source: string): string[] {
  const secrets = [...new Set(text.split(',').map((part) => part.trim()))].filter((part) => part !== '')
  const short = secrets.findIndex((part) => Buffer.byteLength(part) < SECRET_BYTES)
  if (short < 0 && secrets.length > 0) return secrets
  const which = short < 0 ? 'there is no secret in it' : `secret ${short + 1} is shorter than ${SECRET_BYTES} bytes`
  const advice =
    source === 'MCP_SECRET'
      ? 'make one with: openssl rand -base64 32'
      : 'delete the file to have a new one made, or set MCP_SECRET'
  throw new ProxyError('ERR_PROXY_CONFIG', `${source}: ${which}; ${advice}`)
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Writes a secret of its own and gives it the name in one step; resolves false when another process was first. */
async function make(path: string, dataDir: string): Promise<boolean> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${randomBytes(SECRET_BYTES).toString('base64url')}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    return await publish(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

async function publish(draft: string, path: string): Promise<boolean> {
  try {
    // A link appears whole or not at all: whoever finds the file finds a whole secret.
    await link(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
  }
  try {
    // Not every file system has links; a copy is exclusive too.
    await copyFile(draft, path, constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function isShared(path: string): Promise<boolean> {
  return process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
