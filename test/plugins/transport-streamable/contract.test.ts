import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { transportContract, type ContractServer } from '../../contract/transport.ts'
import { adapterOf, fixture, startScript } from '../../fixtures/transport/start.ts'

async function serve(mode: 'http' | 'sse', type?: 'http'): Promise<ContractServer> {
  const adapter = await adapterOf(transportStreamable())
  const server = await startScript([fixture('script-server.ts'), mode])
  const entry = { url: server.url, ...(type && { type }) }
  return { connect: async (context) => adapter.connect(entry, context), close: server.close }
}

transportContract('Streamable HTTP', () => serve('http', 'http'))
transportContract('a URL that turns out to be Streamable HTTP', () => serve('http'))
transportContract('a URL that turns out to be HTTP+SSE', () => serve('sse'))
