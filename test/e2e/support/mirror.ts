import { startScript, type RunningServer } from '../../fixtures/transport/start.ts'
import { join } from 'node:path'
import { messagesOf, node, openLegacy, openProxy, postModern, ROOT, type TestProxy } from '../../harness.ts'
import type { Json } from './v1.ts'

const SCRIPT = 'test/fixtures/e2e/mirror-server.ts'

/** The mirror server behind a proxy, once over stdio (`pipe`) and once over HTTP (`web`). */
export interface Mirrors {
  readonly proxy: TestProxy
  close(): Promise<void>
}

export async function openMirrors(): Promise<Mirrors> {
  const web: RunningServer = await startScript([join(ROOT, SCRIPT), 'http'])
  try {
    const proxy = await openProxy({ mcpServers: { pipe: node(SCRIPT, 'stdio'), web: { url: web.url } } })
    return {
      proxy,
      async close() {
        await proxy.close()
        await web.close()
      },
    }
  } catch (error) {
    await web.close()
    throw error
  }
}

/** Calls a tool and resolves with the bare JSON-RPC response. */
export type RawCall = (name: string, args: Json, meta?: Json) => Promise<Json>

/** Raw clients of both eras: nothing between tidies up what is on the wire. */
export const RAW: Readonly<Record<'legacy' | 'modern', (url: string) => Promise<RawCall>>> = {
  async legacy(url) {
    const { request } = await openLegacy(url)
    return (name, args, meta) => request('tools/call', { name, arguments: args, ...(meta && { _meta: meta }) })
  },
  async modern(url) {
    return async (name, args, meta) => {
      const params = { name, arguments: args, ...(meta && { _meta: meta }) }
      const messages: Json[] = await messagesOf(await postModern(url, 'tools/call', params))
      return messages.find(({ id }) => id === 1) ?? {}
    }
  },
}
