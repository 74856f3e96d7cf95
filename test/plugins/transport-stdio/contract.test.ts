import { describe, test } from 'vitest'
import transportStdio from '../../../plugins/transport-stdio/index.ts'
import { transportContract } from '../../../testing/index.ts'
import { adapterOf, fixture } from '../../fixtures/transport/start.ts'

transportContract({ describe, test }, 'stdio', async () => {
  const adapter = await adapterOf(transportStdio())
  const entry = { command: process.execPath, args: [fixture('script-server.ts'), 'stdio'] }
  return { connect: async (context) => adapter.connect(entry, context) }
})
