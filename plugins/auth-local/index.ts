import { definePlugin, type Plugin } from '../../core/index.ts'
import { authorizationServer, oauthOptionsSchema, type OAuthOptions } from '../auth-oauth/index.ts'
import { createAccounts } from './accounts.ts'
import { createAttempts } from './attempts.ts'
import { loginEndpoint } from './login.ts'
import { localSource } from './source.ts'
import { usersCommand } from './users.ts'

const NAME = 'auth-local'

/** Logs people in with a page and passwords of the proxy's own: the whole OAuth flow without an account anywhere else. */
export default function authLocal(options: OAuthOptions = {}): Plugin {
  return definePlugin({
    name: NAME,
    apiVersion: 1,
    options,
    setup(context) {
      const { config, logger, storage } = context
      const accounts = createAccounts(storage)
      const attempts = createAttempts(storage)
      // Options that make no sense are refused by the authorization server.
      const name = oauthOptionsSchema.safeParse(options).data?.name ?? NAME
      const routes = [loginEndpoint({ context, accounts, attempts, name })]
      const source = localSource({ issuer: config.baseUrl, accounts, attempts, routes })
      return {
        ...authorizationServer(context, { plugin: NAME, source, options }),
        commands: [usersCommand(config, accounts)],
        hooks: {
          async ready() {
            if (!(await accounts.isEmpty())) return
            logger.warn(
              'nobody has a password yet; add somebody: mcp-proxy-server users add you@example.com ' +
                '(inside the repository: npm start -- users add you@example.com)',
            )
          },
        },
      }
    },
  })
}
