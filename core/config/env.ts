import { z } from 'zod'
import { ProxyError } from '../errors.ts'
import { plain } from './issues.ts'
import * as field from './schema.ts'

const number = (schema: z.ZodType<number, number>) =>
  z
    .string()
    .transform((text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN))
    .pipe(schema)

const SECONDS = 'expected seconds from 0 to 86400, fractions allowed'
const seconds = z
  .string()
  .transform((text) => (/^\s*(?:\d+\.?\d*|\.\d+)\s*$/.test(text) ? Number(text) * 1000 : Number.NaN))
  .pipe(z.number({ error: SECONDS }).max(86_400_000, { error: SECONDS }))
  .transform(Math.round)

const flag = z.stringbool({
  truthy: ['1', 'true', 'yes', 'on'],
  falsy: ['0', 'false', 'no', 'off'],
  error: 'expected 1 or 0',
})

/** What a container's image says: it cannot know who reaches the port that the engine publishes. */
const flagOrLocal = z.union([z.literal('local'), flag], { error: 'expected 1, 0 or local' })

const listOf = (item: z.ZodType<string, string>) =>
  z
    .string()
    .transform((text) => text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()])))
    .pipe(z.array(item))

/** Every variable of ours; those of an auth provider belong to its plugin. */
const variables = z
  .object({
    MCP_CONFIG_PATH: z.string(),
    MCP_DATA_DIR: z.string(),
    MCP_HOST: field.host,
    MCP_PORT: number(field.port),
    MCP_ALLOW_UNAUTHENTICATED: flagOrLocal,
    MCP_BASE_URL: z.string(),
    MCP_INSECURE: flag,
    MCP_PATH_PREFIX: field.pathPrefix,
    MCP_AUTH_PROVIDER: z.enum(['oauth_proxy', 'oidc', 'local', 'none']),
    MCP_SECRET: z.string(),
    MCP_SECRET_FILE: z.string(),
    MCP_ALLOWED_ORIGINS: listOf(field.origin),
    MCP_ALLOWED_HOSTS: listOf(field.allowedHost),
    MCP_TRUSTED_PROXIES: listOf(field.proxyRange),
    MCP_LIVE_RELOAD: flag,
    MCP_MAX_RETRIES: number(field.whole(0, 20)),
    MCP_RESTART_DELAY: seconds,
    MCP_LOG_LEVEL: field.logLevel,
    MCP_LOG_FORMAT: field.logFormat,
    MCP_LOG_USER: field.logUser,
  })
  .partial()

/** Flags of the command line that stand above every variable. */
export interface Flags {
  readonly host?: string | undefined
  readonly port?: string | number | undefined
  readonly dataDir?: string | undefined
  readonly logLevel?: string | undefined
}

const flags = z
  .object({
    '--host': field.host,
    '--port': number(field.port),
    '--data-dir': z.string(),
    '--log-level': field.logLevel,
  })
  .partial()

export type Variables = z.output<typeof variables>

/** Reads the variables of ours; an empty one counts as not set. Throws `ERR_PROXY_CONFIG` naming each wrong one. */
export function readVariables(env: NodeJS.ProcessEnv): Variables {
  const values = read(variables, env)
  if (values.MCP_SECRET !== undefined && values.MCP_SECRET_FILE !== undefined) {
    throw new ProxyError('ERR_PROXY_CONFIG', 'MCP_SECRET and MCP_SECRET_FILE are both set; keep one of them')
  }
  return values
}

/** Reads the flags of the command line; throws `ERR_PROXY_CONFIG` naming each wrong one. */
export function readFlags(given: Flags): z.output<typeof flags> {
  return read(flags, {
    '--host': given.host,
    '--port': given.port?.toString(),
    '--data-dir': given.dataDir,
    '--log-level': given.logLevel,
  })
}

function read<T extends z.ZodObject>(schema: T, from: Readonly<Record<string, string | undefined>>): z.output<T> {
  const set = Object.fromEntries(
    Object.keys(schema.shape).flatMap((name) =>
      from[name] === undefined || from[name] === '' ? [] : [[name, from[name]]],
    ),
  )
  const result = schema.safeParse(set)
  if (result.success) return result.data
  const lines = result.error.issues.map((issue) => {
    const name = String(issue.path[0])
    return `${name}: ${JSON.stringify(from[name])} is not allowed; ${plain(issue.message)}`
  })
  throw new ProxyError('ERR_PROXY_CONFIG', lines.join('\n'))
}
