// One legacy session and one tool call against the endpoint in argv[2]; exits 1 when the answer is not the echo.
const [url] = process.argv.slice(2)
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const post = (body, more = {}) =>
  fetch(url, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...body }) })

const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'one-call', version: '1' } }
const opened = await post({ id: 1, method: 'initialize', params })
const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') }
await post({ method: 'notifications/initialized' }, session)
const called = await post(
  { id: 2, method: 'tools/call', params: { name: 'everything_echo', arguments: { message: 'hello' } } },
  session,
)
const text = (await called.json()).result?.content?.[0]?.text
if (text !== 'Echo: hello') throw new Error(`unexpected answer: ${text}`)
console.log(`called ${url}: ${text}`)
