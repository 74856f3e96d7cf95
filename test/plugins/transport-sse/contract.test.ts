import transportSse from '../../../plugins/transport-sse/index.ts'
import { transportContract } from '../../contract/transport.ts'
import { adapterOf, fixture, startScript } from '../../fixtures/transport/start.ts'

transportContract('HTTP+SSE', async () => {
  const adapter = await adapterOf(transportSse())
  const server = await startScript([fixture('script-server.ts'), 'sse'])
  return { connect: async (context) => adapter.connect({ url: server.url }, context), close: server.close }
})
