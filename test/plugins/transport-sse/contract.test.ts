import { afterAll, describe, test } from 'vitest'
import transportSse from '../../../plugins/transport-sse/index.ts'
import { transportContract } from '../../../testing/index.ts'
import { adapterOf, fixture, startScript, type RunningServer } from '../../fixtures/transport/start.ts'

/** One server for all tests: the one in which it dies comes last. */
let started: Promise<RunningServer> | undefined
afterAll(async () => (await started)?.close())

transportContract({ describe, test }, 'HTTP+SSE', async () => {
  const adapter = await adapterOf(transportSse())
  const { url } = await (started ??= startScript([fixture('script-server.ts'), 'sse']))
  return { connect: async (context) => adapter.connect({ url }, context) }
})
