import assert from 'node:assert/strict'
import { isRequest, type Connection, type JsonValue } from '../../core/index.ts'
import { eventually, type Check } from '../contract.ts'
import { ask, begun, type Bench } from './bench.ts'
import { recorder, textOf, toolCall, type Recorder } from './exchange.ts'

/** Whose is what the server says beside its answers: one client's words must never reach another. */
export function parties(check: Check<Bench>): void {
  check('brings progress to its own exchange only', async ({ connect }) => {
    const connection = await connect()
    const [alice, bob] = [recorder('alice'), recorder('bob')]
    await Promise.all([
      connection.request(toolCall('progress', { steps: 3, text: 'for alice' }), alice.exchange),
      connection.request(toolCall('progress', { steps: 3, text: 'for bob' }), bob.exchange),
    ])
    const textsOf = ({ messages }: Recorder) => messages.map((message) => message.params?.message)
    assert.deepEqual(textsOf(alice), ['for alice', 'for alice', 'for alice'])
    assert.deepEqual(textsOf(bob), ['for bob', 'for bob', 'for bob'])
  })

  check('one party: what belongs to no request goes to its newest exchange', async ({ connect }) => {
    const connection = await connect()
    const nobodys = listen(connection)
    const { exchange, messages } = recorder('alice')
    const call = begun(connection.request(toolCall('log', { text: 'only you', ms: 200 }), exchange))
    await eventually(() => messages.length > 0)
    const said = messages.map(({ method, params }) => [method, params?.data])
    assert.deepEqual(said, [['notifications/message', 'only you']])
    await call
    assert.deepEqual(nobodys, [])
  })

  check('two parties: what belongs to no request is nobody’s', async ({ connect }) => {
    const connection = await connect()
    const nobodys = listen(connection)
    await serveBob(connection)
    const { exchange, messages } = recorder('alice')
    const call = begun(connection.request(toolCall('log', { text: 'whose?', ms: 200 }), exchange))
    await eventually(() => nobodys.length > 0)
    assert.deepEqual(nobodys, [['notifications/message', 'whose?', undefined]])
    await call
    assert.deepEqual(messages, [])
  })

  check('one party: is asked, and its answer reaches the server', async ({ connect }) => {
    const connection = await connect()
    const roots = [{ uri: 'file:///tmp', name: 'tmp' }]
    const asked: string[] = []
    let sent: Promise<void> | undefined
    const response = await connection.request(toolCall('ask'), {
      party: 'alice',
      onmessage(message) {
        asked.push(message.method)
        if (isRequest(message)) sent = begun(connection.send({ jsonrpc: '2.0', id: message.id, result: { roots } }))
      },
    })
    await sent
    assert.deepEqual(asked, ['roots/list'])
    assert.deepEqual(JSON.parse(String(textOf(response))), { roots })
  })

  check('two parties: a question is nobody’s and can be refused', async ({ connect }) => {
    const connection = await connect()
    await serveBob(connection)
    let sent: Promise<void> | undefined
    connection.onmessage = (message) => {
      if (!isRequest(message)) return
      const error = { code: -32_601, message: 'nobody is here' }
      sent = begun(connection.send({ jsonrpc: '2.0', id: message.id, error }))
    }
    const { exchange, messages } = recorder('alice')
    const response = await connection.request(toolCall('ask'), exchange)
    await sent
    assert.ok('error' in response)
    assert.match(response.error.message, /nobody is here/)
    assert.deepEqual(messages, [])
  })

  check('what comes after the answer is told with the only party there was', async ({ connect }) => {
    const connection = await connect()
    const told = listen(connection)
    const { exchange, messages } = recorder('alice')
    await connection.request(toolCall('late', { text: 'for alice', ms: 50 }), exchange)
    await eventually(() => told.length > 0)
    assert.deepEqual(told, [['notifications/message', 'for alice', 'alice']])
    assert.deepEqual(messages, [])
  })

  check('what comes after the answer is told without a party when there were two', async ({ connect }) => {
    const connection = await connect()
    const told = listen(connection)
    await serveBob(connection)
    await ask(connection, 'late', { text: 'whose?', ms: 50 })
    await eventually(() => told.length > 0)
    assert.deepEqual(told, [['notifications/message', 'whose?', undefined]])
  })

  check('what comes before anybody was served is told without a party', async ({ connect }) => {
    const connection = await connect()
    const told = listen(connection)
    await connection.request(toolCall('late', { text: 'hello?', ms: 50 }), recorder('').exchange)
    await eventually(() => told.length > 0)
    assert.deepEqual(told, [['notifications/message', 'hello?', undefined]])
  })

  check('a changed list concerns everybody', async ({ connect }) => {
    const connection = await connect()
    const told = listen(connection)
    const { exchange, messages } = recorder()
    await connection.request(toolCall('change'), exchange)
    await eventually(() => told.length > 0)
    assert.deepEqual(
      told.map(([method]) => method),
      ['notifications/tools/list_changed'],
    )
    assert.deepEqual(messages, [])
  })
}

type Told = readonly [method: string, data: JsonValue | undefined, party: string | undefined]

/** Keeps what is told to nobody in particular. */
function listen(connection: Connection): Told[] {
  const told: Told[] = []
  connection.onmessage = ({ method, params }, party) => void told.push([method, params?.data, party])
  return told
}

/** From now on the connection has a second party. */
async function serveBob(connection: Connection): Promise<void> {
  await connection.request(toolCall('echo', { text: '' }), recorder('bob').exchange)
}
