import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../e2e/support/until.ts'
import { ROOT } from '../../harness.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A listener in a process that may have so many descriptors. */
async function serve(limit: number) {
  const script = join(ROOT, 'test/fixtures/core/narrow-server.ts')
  const child = spawn('sh', ['-c', `ulimit -n ${limit} && exec "$0" "$1"`, process.execPath, script])
  closing.push(() => child.kill('SIGKILL'))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  const [, port] = await until('the port', () => /^port (\d+)$/m.exec(said))
  return { port: Number(port), complaints: () => said.match(/^listener: .*/gm) ?? [] }
}

/** Opens connections that say nothing. */
async function flood(port: number, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}))
  closing.push(() => sockets.forEach((socket) => socket.destroy()))
  await Promise.all(sockets.map((socket) => once(socket, 'connect').catch(() => undefined)))
  return sockets
}

/** Whether a client without a connection gets none. */
function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false }, (answer) => {
      answer.resume()
      resolve(false)
    }).on('error', () => resolve(true))
  })
}

describe.runIf(process.platform === 'linux')(
  'a listener with few descriptors (Linux: only its /proc tells how many there are)',
  () => {
    test('keeps some for programs while more connections come than it can take, says so once, and takes new ones afterwards', async () => {
      const { port, complaints } = await serve(64)
      // Its connection stays open: this client is in before the others come.
      expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('started')
      const sockets = await flood(port, 150)
      await until('the last of them are closed', () => sockets.filter(({ destroyed }) => destroyed).length > 100)
      expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('started')
      expect(complaints()).toEqual([
        expect.stringMatching(/connections are refused: \d+ are open, and this process may have 64 files .*ulimit -n/),
      ])
      expect(await isRefused(port)).toBe(true)
      for (const socket of sockets) socket.destroy()
      await until('a new client is let in', async () => !(await isRefused(port)))
    })

    test('leaves a listener alone that has plenty', async () => {
      const { port, complaints } = await serve(1024)
      const sockets = await flood(port, 150)
      expect(await isRefused(port)).toBe(false)
      expect(sockets.some(({ destroyed }) => destroyed)).toBe(false)
      expect(complaints()).toEqual([])
    })
  },
)
