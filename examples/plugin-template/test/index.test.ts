import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { middlewareContract, openPlugin, openTestProxy, pluginContract, type TestProxy } from 'mcp-proxy-server/testing'
import example, * as module from '../src/index.js'

const everything = {
  command: process.execPath,
  args: ['node_modules/@modelcontextprotocol/server-everything/dist/index.js'],
}

async function echo(proxy: TestProxy, message: string) {
  return proxy.request('tools/call', { name: 'everything_echo', arguments: { message } })
}

/** With two calls a minute: the third one is refused. */
async function exercise(proxy: TestProxy): Promise<void> {
  for (const message of ['one', 'two']) {
    const answer = await echo(proxy, message)
    assert.ok('result' in answer)
    assert.deepEqual(answer.result.content, [{ type: 'text', text: `Echo: ${message}` }])
  }
  const refusal = await echo(proxy, 'three')
  assert.ok('error' in refusal)
  assert.match(refusal.error.message, /Too many calls; try again in \d+ s/)
}

pluginContract({ describe, test }, 'example', () => ({
  module,
  accepts: [{ perMinute: 2 }, {}],
  refuses: [{ perMinute: 0 }, { perMinute: 'many' }, { perMinutes: 2 }, 'many', 2, null],
  config: { plugins: ['transport-stdio'], mcpServers: { everything } },
  exercise,
}))

middlewareContract({ describe, test }, 'example', async () => {
  const { contribution, close } = await openPlugin(example())
  assert.ok(contribution.middleware)
  return { middleware: contribution.middleware, dispose: close }
})

test('what it has refused is told when the proxy closes', async () => {
  const proxy = await openTestProxy({
    plugins: ['transport-stdio', example({ perMinute: 2 })],
    mcpServers: { everything },
  })
  try {
    await exercise(proxy)
  } finally {
    await proxy.close()
  }
  assert.match(proxy.log(), /\[example\] local makes more than 2 calls a minute/)
  assert.match(proxy.log(), /\[example\] 1 calls were refused/)
})
