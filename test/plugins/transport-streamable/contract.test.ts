import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { transportContract } from '../../contract/transport.ts'
import { adapterOf, fixture, startScript } from '../../fixtures/transport/start.ts'

transportContract('Streamable HTTP', async () => {
  const adapter = await adapterOf(transportStreamable())
  const server = await startScript([fixture('script-server.ts'), 'http'])
  return { connect: async (context) => adapter.connect({ url: server.url }, context), close: server.close }
})
