import { z } from 'zod'
import { definePlugin, ProxyError, variableOf, type Plugin } from '../../core/index.ts'
import { authorizationServer } from '../auth-oauth/index.ts'
import { ADVICE } from './advice.ts'
import { oauthOptionsOf, providerOptionsSchema } from './options.ts'
import { readScopes } from './scopes.ts'
import { oidcSource } from './source.ts'
import { readIssuer, requireSettings } from './variables.ts'

export { ADVICE, type Advice } from './advice.ts'
export { oauthOptionsOf, providerOptionsSchema, type ProviderOptions } from './options.ts'
export { readScopes } from './scopes.ts'
export { DEFAULT_SCOPES, type OidcSettings } from './settings.ts'
export { oidcSource, type OidcSource } from './source.ts'
export { readAddress, readIssuer, requireSettings } from './variables.ts'

const schema = providerOptionsSchema.extend({ issuer: z.string().min(1).optional() })

export type AuthOidcOptions = z.input<typeof schema>

/** Logs people in at any OpenID provider, found by discovery: `OIDC_ISSUER`, `OIDC_CLIENT_ID`, `OIDC_CLIENT_SECRET`. Throws `ERR_PROXY_CONFIG`. */
export default function authOidc(options: AuthOidcOptions = {}): Plugin {
  const parsed = schema.safeParse(options)
  if (!parsed.success) {
    throw new ProxyError('ERR_PROXY_CONFIG', `auth-oidc: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`)
  }
  const given = parsed.data
  return definePlugin({
    name: 'auth-oidc',
    apiVersion: 1,
    options,
    setup(context) {
      const { config } = context
      const found = requireSettings(config, {
        issuer: {
          variable: 'OIDC_ISSUER',
          option: given.issuer,
          hint: "it is the provider's address, below which /.well-known/openid-configuration answers",
        },
        clientId: {
          variable: 'OIDC_CLIENT_ID',
          option: given.clientId,
          hint: `register this proxy at the provider as a web application with the callback ${config.baseUrl}/auth/callback`,
        },
        clientSecret: {
          variable: 'OIDC_CLIENT_SECRET',
          option: given.clientSecret,
          hint: 'it stands beside the client id at the provider',
        },
      })
      const issuer = readIssuer(found.issuer, 'OIDC_ISSUER')
      const audience = variableOf(config, 'OIDC_AUDIENCE') ?? given.audience
      const { emailClaim, trustEmail, parameters } = given
      const source = oidcSource(
        {
          provider: new URL(issuer).host,
          advice: ADVICE,
          issuer,
          clientId: found.clientId,
          clientSecret: found.clientSecret,
          ...(audience !== undefined && { audience }),
          scopes: readScopes(variableOf(config, 'OIDC_SCOPES'), given.scopes, 'OIDC_SCOPES'),
          ...(emailClaim !== undefined && { emailClaim }),
          trustEmail,
          parameters,
          overrides: {},
        },
        context,
      )
      const server = authorizationServer(context, {
        plugin: 'auth-oidc',
        source,
        options: oauthOptionsOf(options, 'issuer'),
      })
      return { ...server, hooks: { ready: source.prepare } }
    },
  })
}
