import { z } from 'zod'
import { definePlugin, ProxyError, type Plugin, type TransportContext } from '../../core/index.ts'
import { describeUrl } from '../transport-sse/index.ts'
import { openStreamable } from './connection.ts'
import { entrySchema, type StreamableEntry } from './entry.ts'
import { openEither } from './fallback.ts'

export { entrySchema }

/** Nothing to choose yet. */
const optionsSchema = z.strictObject({})

/**
 * Servers over Streamable HTTP (2025-11-25 and 2026-07-28 basic/transports), and older ones over HTTP+SSE where an entry
 * leaves the type open. Throws `ProxyError` when the options are wrong.
 */
export default function transportStreamable(options: z.input<typeof optionsSchema> = {}): Plugin {
  const parsed = optionsSchema.safeParse(options)
  if (!parsed.success)
    throw new ProxyError('ERR_PROXY_PLUGIN', `transport-streamable: ${z.prettifyError(parsed.error)}`)
  return definePlugin({
    name: 'transport-streamable',
    apiVersion: 1,
    setup: () => ({
      transports: [
        {
          type: 'streamable-http',
          aliases: ['http', 'streamableHttp'],
          schema: entrySchema,
          describe: (entry: StreamableEntry) => describeUrl(entry.url),
          connect(entry: StreamableEntry, context: TransportContext) {
            context.signal.throwIfAborted()
            return entry.type === undefined ? openEither(entry, context) : openStreamable(entry, context)
          },
        },
      ],
    }),
  })
}
