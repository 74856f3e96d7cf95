import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { ConnectionError, createPipe, type Connection, type Pipe, type TransportContext } from '../../core/index.ts'
import type { Group } from './group.ts'
import { createReceiver } from './receiver.ts'
import { createStderr } from './stderr.ts'
import { createWriter } from './writer.ts'

/** How long a server may take to end after its stdin was closed, in milliseconds. */
const STDIN_GRACE = 1500
/** How long output is still read after the process ended (a grandchild may hold the pipe open), in milliseconds. */
const DRAIN = 500
/** How long a process may live on with a broken pipe before it is ended, in milliseconds. */
const BROKEN_GRACE = 1000

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Speaks with a running server over its stdin and stdout, and ends it. */
export function connectChild(
  child: ChildProcessWithoutNullStreams,
  group: Group,
  context: TransportContext,
): Connection {
  const server = `transport-stdio: server "${context.name}"`
  const { logger, maxMessageBytes } = context
  const stderr = createStderr(logger)
  const writer = createWriter(child.stdin, maxMessageBytes)
  const pipe: Pipe = createPipe({
    write: (message) => writer.write(`${JSON.stringify(message)}\n`),
    odd: (what) => logger.debug(what),
  })
  const receiver = createReceiver({ server, logger, maxMessageBytes, pipe })
  let closing: Promise<void> | undefined
  let broken: string | undefined

  function end(how: string, words = ''): ConnectionError {
    const reason = new ConnectionError(`${server} ${how}${words}`, { delivered: true, lost: true, brief: how })
    pipe.end(reason)
    writer.end(reason)
    return reason
  }

  /** A process that cannot be spoken with any more is of no use; most are about to exit, and say more by that. */
  function breakOff(what: string): void {
    if (child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => {
      broken = what
      void group.end()
    }, BROKEN_GRACE)
    child.once('exit', () => clearTimeout(timer))
  }

  child.stdout.on('data', receiver.push)
  child.stderr.on('data', stderr.push)
  child.stdin.on('error', () => breakOff('stopped reading its input'))
  child.stdout.once('end', () => breakOff('closed its output'))
  for (const stream of [child.stdout, child.stderr]) stream.on('error', (error) => logger.debug(error.message))

  child.on('error', (error) => logger.debug(error.message))

  const exited = new Promise<Exit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const closed = exited.then(async ({ code, signal }) => {
    const asked = closing !== undefined
    const reaped = group.end()
    await within(DRAIN, outputClosed(child))
    receiver.end()
    stderr.end()
    const how = broken ?? (signal === null ? `exited with code ${code}` : `was ended by ${signal}`)
    const words = stderr.tail()
    const reason = end(how, words === '' ? '' : `; its last words: ${words}`)
    await reaped
    for (const stream of child.stdio) stream?.destroy()
    return asked ? undefined : reason
  })

  async function close(): Promise<void> {
    end('was closed by the proxy')
    child.stdin.end()
    await within(STDIN_GRACE, exited)
    await group.end()
    await within(DRAIN, closed)
  }

  return Object.assign(pipe, { perRequestStream: false, closed, close: () => (closing ??= close()) })
}

async function outputClosed(child: ChildProcessWithoutNullStreams): Promise<void> {
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
  }
}

/** Waits for `done`, but no longer than `limit` milliseconds. */
async function within(limit: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const elapsed = new Promise<void>((resolve) => (timer = setTimeout(resolve, limit)))
  await Promise.race([done, elapsed])
  clearTimeout(timer)
}
