import { z } from 'zod'
import { definePlugin, ProxyError, type Plugin, type TransportContext } from '../../core/index.ts'
import { openSse } from './connection.ts'
import { describeUrl, entrySchema, type HttpEntry } from './entry.ts'

export { entrySchema, openSse }

// What MCP over HTTP needs whichever way round it runs; the Streamable HTTP transport stands on it too.
export { isSuccess, mediaType } from './answer.ts'
export { describeUrl, httpSchema } from './entry.ts'
export type { HttpEntry } from './entry.ts'
export { readMessages } from './events.ts'
export { forgotSession, isPassing, statusError } from './failure.ts'
export { createGate } from './gate.ts'
export { POST_WIDTH } from './connection.ts'
export { send } from './http.ts'
export type { HttpRequest, Underway } from './http.ts'
export { post } from './post.ts'
export type { Head, Reader, Reply } from './reply.ts'
export { closeSite, createSite, headersOf } from './site.ts'
export type { Site } from './site.ts'

/** Nothing to choose yet. */
const optionsSchema = z.strictObject({})

/** Servers over HTTP+SSE, the transport of 2024-11-05. Throws `ProxyError` when the options are wrong. */
export default function transportSse(options: z.input<typeof optionsSchema> = {}): Plugin {
  const parsed = optionsSchema.safeParse(options)
  if (!parsed.success) throw new ProxyError('ERR_PROXY_PLUGIN', `transport-sse: ${z.prettifyError(parsed.error)}`)
  return definePlugin({
    name: 'transport-sse',
    apiVersion: 1,
    setup: () => ({
      transports: [
        {
          type: 'sse',
          era: 'legacy',
          schema: entrySchema,
          describe: (entry: HttpEntry) => describeUrl(entry.url),
          connect: (entry: HttpEntry, context: TransportContext) => openSse(entry, context),
        },
      ],
    }),
  })
}
