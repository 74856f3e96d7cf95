import { z } from 'zod'
import { httpSchema } from '../transport-sse/index.ts'

/** The keys of a server entry that this transport reads. Without `type`, an older HTTP+SSE server is found out too. */
export const entrySchema = z.object({
  type: z.enum(['streamable-http', 'http', 'streamableHttp']).optional(),
  ...httpSchema.shape,
})

/** A server entry of this transport. */
export type StreamableEntry = z.output<typeof entrySchema>
