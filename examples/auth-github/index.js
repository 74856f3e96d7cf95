// Logs people in at GitHub, which is no OpenID provider: no discovery, no ID token. What a plugin of your own has to add is an
// identity source; the authorization server, its pages, tokens and refreshes come with `authorizationServer`.
//
//   plugins: ['transport-stdio', 'transport-streamable', 'storage-fs', 'reload', 'access-users', 'auth-github']
//   GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET: github.com → Settings → Developer settings → OAuth Apps; its callback is
//   <MCP_BASE_URL>/auth/callback
import { createHash, randomBytes } from 'node:crypto'
import { authorizationServer, SourceError } from 'mcp-proxy-server/plugins/auth-oauth'

/** Where GitHub is; another place for GitHub Enterprise. */
const GITHUB = { site: 'https://github.com', api: 'https://api.github.com' }

export default function authGithub({ site = GITHUB.site, api = GITHUB.api, ...options } = {}) {
  return {
    name: 'auth-github',
    apiVersion: 1,
    options: { site, api, ...options },
    setup(context) {
      const { GITHUB_CLIENT_ID: id, GITHUB_CLIENT_SECRET: secret } = context.config.env
      if (!id || !secret) throw new Error('set GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET')
      const source = githubSource({ site, api, id, secret })
      return authorizationServer(context, { plugin: 'auth-github', source, options })
    },
  }
}

/** Who people are, as GitHub says: the port of `auth-oauth`. */
export function githubSource({ site, api, id, secret }) {
  return {
    name: 'GitHub',

    begin({ state, callback }) {
      const verifier = randomBytes(32).toString('base64url')
      const query = new URLSearchParams({
        client_id: id,
        redirect_uri: callback,
        scope: 'read:user user:email',
        state,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      })
      return { url: `${site}/login/oauth/authorize?${query}`, kept: { verifier } }
    },

    async finish({ url, callback, kept, signal }) {
      const error = url.searchParams.get('error')
      if (error !== null) throw new SourceError('denied', `GitHub answered ${error}`, { error })
      const token = await tokenFor(url.searchParams.get('code') ?? '', callback, kept.verifier, signal)
      const get = async (path) => {
        const headers = { authorization: `Bearer ${token}`, accept: 'application/vnd.github+json' }
        const response = await fetch(api + path, { headers, signal })
        if (!response.ok) throw new SourceError('unavailable', `GitHub answered ${response.status} for ${path}`)
        return response.json()
      }
      const [user, emails] = await Promise.all([get('/user'), get('/user/emails')])
      const { email, verified } = emails.find(({ primary }) => primary) ?? {}
      if (verified !== true) throw new SourceError('denied', 'no verified e-mail address at GitHub')
      // The number stays when a user is renamed. `kept` makes the proxy ask again at each refresh.
      const identity = {
        issuer: site,
        subject: String(user.id),
        email,
        emailVerified: true,
        name: user.name ?? user.login,
      }
      return { identity, kept: { identity } }
    },

    /** Tokens of OAuth Apps do not end, and nobody but GitHub's owner of the account can take them back: nothing is kept of them. */
    refresh: (kept) => ({ identity: kept.identity, kept }),
  }

  async function tokenFor(code, callback, verifier, signal) {
    const form = { client_id: id, client_secret: secret, code, redirect_uri: callback, code_verifier: verifier }
    const response = await fetch(`${site}/login/oauth/access_token`, {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams(form),
      signal,
    })
    if (!response.ok) throw new SourceError('unavailable', `GitHub answered ${response.status}`)
    const { access_token: token, error } = await response.json()
    if (typeof token === 'string') return token
    // GitHub says 200 to failures too.
    const isOurs = error === 'incorrect_client_credentials'
    throw new SourceError(isOurs ? 'misconfigured' : 'denied', `GitHub answered ${error}`, { error: 'server_error' })
  }
}
