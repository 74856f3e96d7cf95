import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, test } from 'vitest'
import { pluginContract, type MadePlugin } from '../../testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-own-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What a login plugin needs around it. */
const LOGIN = { config: { baseUrl: 'https://mcp.example.com', plugins: ['access-users'] } }
const SECRET = 'canary client secret'
const NONSENSE = [{ nonsense: true }, 'text', 7]

/** How each plugin that comes along is used. */
const PLUGINS: Record<string, Omit<MadePlugin, 'module'>> = {
  'access-users': { accepts: [{}, { file: 'people.json' }], refuses: [...NONSENSE, { file: 7 }, { file: '' }] },
  'auth-auth0': {
    ...LOGIN,
    env: {
      AUTH0_DOMAIN: 'tenant.eu.auth0.example',
      AUTH0_CLIENT_ID: 'id',
      AUTH0_CLIENT_SECRET: SECRET,
      AUTH0_AUDIENCE: 'https://mcp.example.com/mcp',
    },
    accepts: [{}, { idleLife: 60_000 }],
    refuses: [...NONSENSE, { idleLife: -1 }],
    secrets: [SECRET],
  },
  'auth-local': { ...LOGIN, accepts: [{}, { name: 'Ours' }], refuses: [...NONSENSE, { loginLife: 'long' }] },
  'auth-oidc': {
    ...LOGIN,
    env: { OIDC_ISSUER: 'https://id.example', OIDC_CLIENT_ID: 'id', OIDC_CLIENT_SECRET: SECRET },
    accepts: [{}, { audience: 'api' }],
    refuses: [...NONSENSE, { scopes: 7 }],
    secrets: [SECRET],
  },
  reload: { accepts: [{}, { delays: [1, 2], limit: 3 }], refuses: [...NONSENSE, { delays: [] }, { limit: -1 }] },
  'storage-fs': { accepts: [{}, { dir: join(folder, 'records') }], refuses: [...NONSENSE, { dir: 7 }] },
  'transport-sse': {},
  'transport-stdio': {},
  'transport-streamable': {},
}

for (const [name, use] of Object.entries(PLUGINS)) {
  pluginContract({ describe, test }, name, async () => ({
    module: (await import(`../../plugins/${name}/index.ts`)) as MadePlugin['module'],
    ...use,
  }))
}
