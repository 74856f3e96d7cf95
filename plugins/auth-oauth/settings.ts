import { z } from 'zod'
import { isRedirectPattern, isRedirectUri } from './redirect-uri.ts'
import { ProxyError, variableOf, type ResolvedConfig } from '../../core/index.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const clientSchema = z.strictObject({
  /** `client_id`, as typed into the client. */
  id: z.string().regex(/^[\x21-\x7e]{1,256}$/, { error: 'expected printable ASCII without spaces' }),
  /** Absent: a public client. */
  secret: z.string().min(16).optional(),
  name: z.string().min(1).max(128).optional(),
  redirectUris: z.array(z.string().min(1)).min(1),
})

/** Options every plugin over `auth-oauth` takes. Times in milliseconds. */
export const oauthOptionsSchema = z.strictObject({
  /** Life of an access token; default 1 h. */
  accessTokenLife: z
    .int()
    .min(MINUTE)
    .max(DAY)
    .prefault(60 * MINUTE),
  /** A login that is not refreshed for so long ends; default 30 days. */
  idleLife: z
    .int()
    .min(MINUTE)
    .prefault(30 * DAY),
  /** A login ends after so long in any case; default 180 days. */
  loginLife: z
    .int()
    .min(MINUTE)
    .prefault(180 * DAY),
  /** Whether clients may register themselves (RFC 7591). `MCP_DCR` stands above it. */
  dcr: z.enum(['open', 'off']).prefault('open'),
  /** Whether a client id may be the URL of a metadata document, and of which hosts; by default of all. */
  cimd: z.enum(['open', 'off']).prefault('open'),
  cimdHosts: z
    .array(
      z
        .string()
        .regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, { error: 'expected a host name in lower case, as in claude.ai' }),
    )
    .optional(),
  /** Refuses an e-mail address that comes from another account than the one it first logged in with; else that is only logged. */
  pinSub: z.boolean().prefault(false),
  /** What a code that is redeemed again, with the right client and verifier, does to its login (RFC 6749 §4.1.2). */
  codeReplay: z.enum(['revoke', 'deny']).prefault('revoke'),
  /** Redirect URIs clients may register besides the well-known ones and loopback; `*` at the end of a path, or alone for any https. */
  redirectUris: z.array(z.string().min(1)).prefault([]),
  /** Clients known from the start, for those whose id and secret are typed in by hand. */
  clients: z.array(clientSchema).prefault([]),
  /** How the proxy calls itself on its pages. */
  name: z.string().min(1).max(64).prefault('MCP Proxy Server'),
})

export type OAuthOptions = z.input<typeof oauthOptionsSchema>
export type Settings = z.output<typeof oauthOptionsSchema>
export type StaticClient = Settings['clients'][number]

const NEEDED = 'expected an https address or one of a program, written as browsers write it'

/** Options and variables together, checked; throws `ERR_PROXY_CONFIG` that names what is wrong. */
export function readSettings(plugin: string, options: OAuthOptions, config: ResolvedConfig): Settings {
  const parsed = oauthOptionsSchema.safeParse(options)
  if (!parsed.success) {
    throw new ProxyError('ERR_PROXY_CONFIG', `${plugin}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`)
  }
  const dcr = variableOf(config, 'MCP_DCR') ?? parsed.data.dcr
  if (dcr !== 'open' && dcr !== 'off') {
    throw new ProxyError('ERR_PROXY_CONFIG', `MCP_DCR: ${JSON.stringify(dcr)} is not allowed; expected "open" or "off"`)
  }
  const added = variableOf(config, 'MCP_ALLOWED_REDIRECT_URIS') ?? ''
  const fromVariable = added.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
  const wrong = [...parsed.data.redirectUris, ...fromVariable].find((pattern) => !isRedirectPattern(pattern))
  if (wrong !== undefined) {
    const what = `${NEEDED}; "/*" at its end stands for one more segment`
    throw new ProxyError(
      'ERR_PROXY_CONFIG',
      `MCP_ALLOWED_REDIRECT_URIS: ${JSON.stringify(wrong)} can never be redirected to; ${what}`,
    )
  }
  for (const { id, redirectUris } of parsed.data.clients) {
    const bad = redirectUris.find((uri) => !isRedirectUri(uri))
    if (bad === undefined) continue
    const where = `${plugin}: client ${JSON.stringify(id)}: redirectUris`
    throw new ProxyError('ERR_PROXY_CONFIG', `${where}: ${JSON.stringify(bad)} can never be redirected to; ${NEEDED}`)
  }
  return { ...parsed.data, dcr, redirectUris: [...parsed.data.redirectUris, ...fromVariable] }
}
