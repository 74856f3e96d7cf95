import { join } from 'node:path'
import { z } from 'zod'
import { definePlugin, pathVariableOf, ProxyError, variableOf, type Plugin } from '../../core/index.ts'
import { authorizationServer } from '../auth-oauth/index.ts'
import { oauthOptionsOf, oidcSource, providerOptionsSchema, readScopes, requireSettings } from '../auth-oidc/index.ts'
import { ADVICE } from './advice.ts'
import { readConfigFile } from './config-file.ts'
import { issuerOf, overridesOf } from './domain.ts'

const schema = providerOptionsSchema.extend({ domain: z.string().min(1).optional() })

export type AuthAuth0Options = z.input<typeof schema>

const DASHBOARD = 'in the Auth0 dashboard'

/** Logs people in at Auth0: `AUTH0_DOMAIN`, `AUTH0_CLIENT_ID`, `AUTH0_CLIENT_SECRET`, `AUTH0_AUDIENCE`. Throws `ERR_PROXY_CONFIG`. */
export default function authAuth0(options: AuthAuth0Options = {}): Plugin {
  const parsed = schema.safeParse(options)
  if (!parsed.success) {
    throw new ProxyError('ERR_PROXY_CONFIG', `auth-auth0: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`)
  }
  const given = parsed.data
  return definePlugin({
    name: 'auth-auth0',
    apiVersion: 1,
    options,
    setup(context) {
      const { config, logger } = context
      const path = pathVariableOf(config, 'MCP_AUTH_CONFIG_PATH') ?? join(config.dataDir, 'auth_config.json')
      const edited = readConfigFile(path, logger)
      const callback = `${config.baseUrl}/auth/callback`
      const found = requireSettings(config, {
        domain: {
          variable: 'AUTH0_DOMAIN',
          option: given.domain ?? edited.domain,
          hint: `${DASHBOARD}: Applications → your application → Settings → Domain`,
        },
        clientId: {
          variable: 'AUTH0_CLIENT_ID',
          option: given.clientId,
          hint: `${DASHBOARD}: create a Regular Web Application with the Allowed Callback URL ${callback}; it is under its Settings → Client ID`,
        },
        clientSecret: {
          variable: 'AUTH0_CLIENT_SECRET',
          option: given.clientSecret,
          hint: `${DASHBOARD}: Applications → your application → Settings → Client Secret`,
        },
        audience: {
          variable: 'AUTH0_AUDIENCE',
          option: given.audience ?? edited.audience,
          hint: `${DASHBOARD}: Applications → APIs → create an API (RS256, Allow Offline Access on); it is its Identifier`,
        },
      })
      const emailClaim = variableOf(config, 'AUTH0_EMAIL_CLAIM') ?? given.emailClaim
      const { domain, ...credentials } = found
      const isFromFile = domain === edited.domain && variableOf(config, 'AUTH0_DOMAIN') === undefined
      const issuer = issuerOf(domain, isFromFile ? `${path}: auth0.domain` : 'AUTH0_DOMAIN')
      const source = oidcSource(
        {
          provider: 'Auth0',
          advice: ADVICE,
          issuer,
          ...credentials,
          scopes: readScopes(undefined, given.scopes, 'auth-auth0: scopes'),
          ...(emailClaim !== undefined && { emailClaim }),
          trustEmail: given.trustEmail,
          parameters: given.parameters,
          overrides: overridesOf(edited, issuer, path),
        },
        context,
      )
      const server = authorizationServer(context, {
        plugin: 'auth-auth0',
        source,
        options: oauthOptionsOf(options, 'domain'),
      })
      return { ...server, hooks: { ready: source.prepare } }
    },
  })
}
