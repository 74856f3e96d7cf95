/** What each client scenario of the suites wants to see a client do, done by the SDK's client. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { messagesOf, postModern } from '../harness.ts'

/** The tool calls that a scenario asks for in its context. */
interface Context {
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: Record<string, unknown> }[]
}

interface Visit {
  readonly url: string
  readonly version: string
  readonly context: Context
}

type Drive = (visit: Visit) => Promise<void>

/** By the names of the scenarios. */
export const DRIVES: Readonly<Record<string, Drive>> = {
  initialize: (visit) => connected(visit, async (client) => void (await client.listTools())),
  'request-metadata': (visit) => connected(visit, async (client) => void (await client.listTools())),
  'json-schema-ref-no-deref': (visit) => connected(visit, async (client) => void (await client.listTools())),
  tools_call: (visit) => callAfterListing(visit, 'add_numbers', { a: 5, b: 3 }),
  'sse-retry': (visit) => callAfterListing(visit, 'test_reconnection', {}),
  'elicitation-sep1034-client-defaults': (visit) => callAfterListing(visit, 'test_client_elicitation_defaults', {}),
  'sep-2322-client-request-state': rounds,
  'http-standard-headers': everything,
  'http-custom-headers': customHeaders,
  'http-invalid-tool-headers': everyListedTool,
  'json-schema-2020-12-preservation': echoSchema,
}

/** Opens a client in the era of the scenario; it accepts whatever it is asked, with the defaults it is given. */
async function connected(
  { url, version }: Visit,
  use: (client: Client) => Promise<void>,
  onelicit: (client: Client) => Promise<unknown> = async () => {},
): Promise<void> {
  const mode = version >= '2026-07-28' ? { pin: version } : 'legacy'
  const client = new Client(
    { name: 'conformance-client', version: '1.0.0' },
    { capabilities: { elicitation: { form: { applyDefaults: true } } }, versionNegotiation: { mode } },
  )
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    await onelicit(client)
    const fields = 'requestedSchema' in params ? Object.keys(params.requestedSchema.properties) : []
    return { action: 'accept', content: fields.includes('confirmed') ? { confirmed: true } : {} }
  })
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  try {
    await use(client)
  } finally {
    await client.close()
  }
}

function callAfterListing(visit: Visit, name: string, args: Record<string, unknown>): Promise<void> {
  return connected(visit, async (client) => {
    await client.listTools()
    await client.callTool({ name, arguments: args })
  })
}

/** Calls the unrelated tool while the first one waits for its answers. */
function rounds(visit: Visit): Promise<void> {
  const call = (client: Client, name: string) => client.callTool({ name, arguments: {} })
  return connected(
    visit,
    async (client) => {
      await client.listTools()
      await call(client, 'test_mrtr_echo_state')
      await call(client, 'test_mrtr_no_state')
      await call(client, 'test_mrtr_no_result_type')
    },
    (client) => call(client, 'test_mrtr_unrelated'),
  )
}

function everything(visit: Visit): Promise<void> {
  return connected(visit, async (client) => {
    for (const { name } of (await client.listTools()).tools) await client.callTool({ name, arguments: {} })
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri })
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name })
  })
}

function customHeaders(visit: Visit): Promise<void> {
  return connected(visit, async (client) => {
    await client.listTools()
    for (const call of visit.context.toolCalls ?? []) await client.callTool(call)
  })
}

/** On the bare wire: the SDK's client leaves out invalid tools by itself, and it is the proxy that has to. */
async function everyListedTool({ url }: Visit): Promise<void> {
  const [listed] = await messagesOf(await postModern(url, 'tools/list'))
  for (const { name } of listed.result.tools) {
    await (await postModern(url, 'tools/call', { name, arguments: {} })).arrayBuffer()
  }
}

function echoSchema(visit: Visit): Promise<void> {
  return connected(visit, async (client) => {
    const { tools } = await client.listTools()
    const schema = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema
    await client.callTool({ name: 'json_schema_echo', arguments: { schema } })
  })
}
