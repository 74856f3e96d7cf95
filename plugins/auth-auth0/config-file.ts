import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { ProxyError, reasonOf, type PluginContext } from '../../core/index.ts'

/** What is written where there is no file yet: placeholders stand for "find it out", and no secret is ever in it. */
const TEMPLATE = {
  provider: 'auth0',
  auth0: {
    domain: '${AUTH0_DOMAIN}',
    jwks_uri: 'https://${AUTH0_DOMAIN}/.well-known/jwks.json',
    issuer: 'https://${AUTH0_DOMAIN}/',
    audience: '${AUTH0_AUDIENCE}',
  },
} as const

const text = z.string({ error: 'expected text' }).optional()
const schema = z.looseObject({
  provider: text,
  auth0: z.looseObject({ domain: text, jwks_uri: text, issuer: text, audience: text }).prefault({}),
})

/** The values somebody has written into `auth_config.json` in place of the placeholders. */
export type Edited = Partial<Record<keyof (typeof TEMPLATE)['auth0'], string>>

/**
 * Reads `auth_config.json`, or writes it. Its `provider` switches nothing on. Unknown keys are warned of; throws `ERR_PROXY_CONFIG`
 * for a file that is no JSON.
 */
export function readConfigFile(path: string, logger: PluginContext['logger']): Edited {
  const found = read(path)
  if (found === undefined) {
    write(path, logger)
    return {}
  }
  const { provider, auth0, ...others } = parse(found, path)
  if (provider !== undefined && provider !== TEMPLATE.provider)
    logger.warn(`${path}: provider "${provider}" has no effect; MCP_AUTH_PROVIDER says who logs people in`)
  warnOf(Object.keys(others), Object.keys(TEMPLATE))
  const unknown = Object.keys(auth0).filter((key) => !Object.hasOwn(TEMPLATE.auth0, key))
  warnOf(
    unknown.map((key) => `auth0.${key}`),
    Object.keys(TEMPLATE.auth0).map((key) => `auth0.${key}`),
  )
  const edited: Edited = {}
  for (const key of Object.keys(TEMPLATE.auth0) as (keyof Edited)[]) {
    const value = auth0[key]?.trim() ?? ''
    if (value !== '' && value !== TEMPLATE.auth0[key]) edited[key] = value
  }
  return edited

  function warnOf(keys: readonly string[], known: readonly string[]): void {
    for (const key of keys) logger.warn(`${path}: ${key} is unknown and has no effect; known are ${known.join(', ')}`)
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ProxyError('ERR_PROXY_CONFIG', `${path}: cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

/** A folder that cannot be written is no reason not to start: the file only overrides. */
function write(path: string, logger: PluginContext['logger']): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, `${JSON.stringify(TEMPLATE, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
    logger.info(`wrote ${path}; edit it to override what is found out about the provider`)
  } catch (error) {
    logger.warn(`${path} could not be written: ${reasonOf(error)}`)
  }
}

function parse(found: string, path: string): z.output<typeof schema> {
  try {
    return schema.parse(JSON.parse(found.replace(/^\uFEFF/, '')))
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : reasonOf(error)
    throw new ProxyError('ERR_PROXY_CONFIG', `${path}: ${why}; mend it, or delete it to have a new one written`, {
      cause: error,
    })
  }
}
