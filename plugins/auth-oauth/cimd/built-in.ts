import type { DocumentedClient } from './document.ts'

/**
 * Clients whose documents are where many servers cannot get at them: claude.ai asks computing centres to prove that
 * they are a person. What can be fetched counts more.
 */
const CLIENTS: readonly Pick<DocumentedClient, 'id' | 'name' | 'redirectUris'>[] = [
  {
    id: 'https://claude.ai/oauth/mcp-oauth-client-metadata',
    name: 'Claude',
    redirectUris: ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'],
  },
  {
    id: 'https://claude.ai/oauth/claude-code-client-metadata',
    name: 'Claude Code',
    redirectUris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
  },
]

const BY_ID = new Map(
  CLIENTS.map((client) => [client.id, { ...client, authMethod: 'none', source: 'cimd', created: 0 } as const]),
)

/** The client of a document that comes with the proxy. */
export const builtIn = BY_ID.get.bind(BY_ID)
