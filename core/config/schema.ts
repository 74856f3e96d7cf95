import { isIP } from 'node:net'
import { z } from 'zod'
import type { PluginSpec } from '../plugin.ts'
import { isObject } from '../wire/jsonrpc.ts'

const HOUR = 3_600_000
/** Node's timers end here: a longer wait would fire at once. */
const LONGEST = 2_147_483_647

/** A whole number in a range; every way to get it wrong says the same. */
export function whole(min: number, max: number, what = 'a whole number') {
  const error = `expected ${what} from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

const milliseconds = (min = 0) => whole(min, LONGEST, 'milliseconds: a whole number')
const bytes = whole(1024, 1024 ** 3, 'bytes: a whole number')
const list = <T extends z.ZodType>(item: T) => z.array(item).readonly()
const match = (pattern: RegExp, error: string) => z.string({ error }).regex(pattern, { error })

export const port = whole(0, 65_535)
export const host = match(
  /^(?:[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?\]?)$/,
  'expected a host name or an IP address, without scheme, port or path',
).transform((text) => text.replace(/^\[(.*)\]$/, '$1'))
export const allowedHost = match(
  /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/,
  'expected "host" or "host:port", without scheme or path',
)
export const origin = match(
  /^(?:\*|[a-z][a-z0-9+.-]*:\/\/[^\s/?#]+)$/i,
  'expected an origin such as "https://example.com", without a path, or "*"',
)
export const proxyRange = z.string().refine(isRange, { error: 'expected an IP address or a CIDR range' })
export const pathPrefix = match(
  /^\/*[A-Za-z0-9_~-][\w.~-]*(?:\/[A-Za-z0-9_~-][\w.~-]*)*\/*$/,
  'expected path segments of letters, digits, "-", "_", "." and "~", such as "team/a"',
)
export const logLevel = z.enum(['error', 'warn', 'info', 'debug', 'trace'])
export const logFormat = z.enum(['pretty', 'json'])
export const logUser = z.enum(['email', 'hash'])
const restartDelay = milliseconds()
const text = match(/\S/, 'expected a text that is not empty')

/** What the proxy itself reads of a server entry, with its defaults. Not strict: the rest belongs to the transport. */
export const settingsSchema = z.object({
  disabled: z.boolean().prefault(false).describe('Keeps the entry without starting it.'),
  prefix: z
    .union([z.string(), z.boolean()], { error: 'expected a text, true or false' })
    .optional()
    .describe('Put before every name of this server; false: bare names; default: the name of the entry.'),
  tools: z
    .strictObject({ include: list(z.string()).prefault(['*']), exclude: list(z.string()).prefault([]) })
    .prefault({})
    .describe("Globs (*) over the server's own tool names."),
  isolate: z
    .enum(['auto', 'shared', 'user', 'session'])
    .optional()
    .describe('Who shares one instance of the server; default: auto for stdio, user for HTTP.'),
  lazy: z.boolean().prefault(false).describe('Starts the server with the first request for it.'),
  idleStop: milliseconds().prefault(600_000).describe('Stops an idle lazy or isolated instance after so many ms.'),
  connectTimeout: milliseconds(1).prefault(60_000).describe('Longest connect, in ms.'),
  requestTimeout: milliseconds(1).prefault(60_000).describe('Longest silence of a request, in ms; progress resets it.'),
  protocol: z.enum(['auto', 'legacy', 'modern']).prefault('auto').describe('Protocol era to speak with the server.'),
})

/** Names of the settings: what no transport gets to see. */
export const SETTINGS: readonly string[] = Object.keys(settingsSchema.shape)

const limitsSchema = z.strictObject({
  bodyBytes: bytes.prefault(4 * 1024 ** 2),
  messageBytes: bytes.prefault(32 * 1024 ** 2),
  requestCeiling: milliseconds(1).prefault(HOUR / 4),
  firstListWait: milliseconds().prefault(5_000),
  sessionLife: whole(1, 10 * 365 * 24 * HOUR, 'milliseconds: a whole number').prefault(30 * 24 * HOUR),
})

/** The main file. Entries of `mcpServers` are looked at one by one: a bad one harms no other. */
export const configSchema = z.strictObject({
  plugins: list(
    z.custom<PluginSpec>(isPluginSpec, { error: 'expected a plugin, its name, or [name, options]' }),
  ).optional(),
  mcpServers: z.custom<Readonly<Record<string, unknown>>>(isObject, { error: 'expected an object' }).optional(),
  prefix: z.boolean().prefault(true),
  nameLimit: whole(16, 128).prefault(64),
  host: host.optional(),
  port: port.prefault(8080),
  baseUrl: z.string().optional(),
  pathPrefix: pathPrefix.optional(),
  dataDir: text.prefault('data'),
  allowUnauthenticated: z.union([z.boolean(), z.literal('local')]).prefault(false),
  insecure: z.boolean().prefault(false),
  allowedHosts: list(allowedHost).prefault([]),
  allowedOrigins: list(origin).prefault([]),
  trustedProxies: list(proxyRange).prefault([]),
  secret: text.optional(),
  limits: limitsSchema.prefault({}),
  log: z
    .strictObject({ level: logLevel.prefault('info'), format: logFormat.optional(), user: logUser.prefault('email') })
    .prefault({}),
  restartDelay: restartDelay.prefault(1_000),
  liveReload: z.boolean().prefault(false),
})

/** Known keys of each strict object, by its path, for "did you mean". */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(configSchema.shape),
  limits: Object.keys(limitsSchema.shape),
  log: ['level', 'format', 'user'],
  tools: ['include', 'exclude'],
}

/** The main file once checked, its own defaults filled in. */
export type CheckedConfig = z.output<typeof configSchema>

function isPluginSpec(value: unknown): boolean {
  if (typeof value === 'string') return value !== ''
  if (Array.isArray(value)) return value.length <= 2 && typeof value[0] === 'string' && value[0] !== ''
  return isObject(value) && typeof value.name === 'string' && typeof value['setup'] === 'function'
}

function isRange(value: string): boolean {
  const [address = '', bits, more] = value.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
