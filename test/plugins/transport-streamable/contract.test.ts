import { afterAll, describe, test } from 'vitest'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { transportContract, type MadeTransport } from '../../../testing/index.ts'
import { adapterOf, fixture, startScript, type RunningServer } from '../../fixtures/transport/start.ts'

/** One server for all tests of a suite: the one in which it dies comes last. */
function serve(mode: 'http' | 'sse', type?: 'http'): () => Promise<MadeTransport> {
  let started: Promise<RunningServer> | undefined
  afterAll(async () => (await started)?.close())
  return async () => {
    const adapter = await adapterOf(transportStreamable())
    const { url } = await (started ??= startScript([fixture('script-server.ts'), mode]))
    return { connect: async (context) => adapter.connect({ url, ...(type && { type }) }, context) }
  }
}

transportContract({ describe, test }, 'Streamable HTTP', serve('http', 'http'))
transportContract({ describe, test }, 'a URL that turns out to be Streamable HTTP', serve('http'))
transportContract({ describe, test }, 'a URL that turns out to be HTTP+SSE', serve('sse'))
