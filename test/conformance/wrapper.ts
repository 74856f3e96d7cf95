/** The client that the suites test: a proxy in front of their server (the last argument) and what a user of it does. */
import { join } from 'node:path'
import { startProxy } from './cells.ts'
import { DRIVES } from './drive.ts'

const url = process.argv.at(-1) ?? ''
const {
  MCP_CONFORMANCE_SCENARIO: scenario = '',
  MCP_CONFORMANCE_PROTOCOL_VERSION: version = '2025-11-25',
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env

const drive = DRIVES[scenario]
if (drive === undefined) throw new Error(`no drive for the scenario "${scenario}"`)
/** Shorter than what the suite waits for: it would end this process and leave the proxy behind. */
const WITHIN = 30_000

const proxy = await startProxy(join(process.cwd(), 'proxy'), url, 'auto')
try {
  const late = AbortSignal.timeout(WITHIN)
  await Promise.race([
    drive({ url: proxy.url, version, context: JSON.parse(context) }),
    new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(late.reason as Error))),
  ])
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  await proxy.end()
}
// A client that waits in vain must not keep this process.
process.exit()
