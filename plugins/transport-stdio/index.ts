import { once } from 'node:events'
import { z } from 'zod'
import { definePlugin, ProxyError, type Connection, type Plugin, type TransportContext } from '../../core/index.ts'
import { connectChild } from './connection.ts'
import { serverEnvironment } from './environment.ts'
import { createGroup, type Group } from './group.ts'
import { spawnServer, startFailure, type StdioEntry } from './spawn.ts'

/** The keys of a server entry that this transport reads. */
export const entrySchema = z.object({
  type: z.literal('stdio').optional(),
  command: z.string().min(1),
  args: z.array(z.string()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  cwd: z.string().min(1).optional(),
})

const optionsSchema = z.strictObject({
  passEnv: z.array(z.string().min(1)).optional(),
})

export interface StdioOptions {
  /** Names of further variables of the proxy's own environment that every server gets. */
  readonly passEnv?: readonly string[]
}

/**
 * Servers as child processes, one JSON-RPC message a line (2026-07-28 basic/transports/stdio). Throws `ProxyError`
 * when the options are wrong.
 */
export default function transportStdio(options: StdioOptions = {}): Plugin {
  const parsed = optionsSchema.safeParse(options)
  if (!parsed.success) throw new ProxyError('ERR_PROXY_PLUGIN', `transport-stdio: ${z.prettifyError(parsed.error)}`)
  const passEnv = parsed.data.passEnv ?? []
  return definePlugin({
    name: 'transport-stdio',
    apiVersion: 1,
    options: { passEnv },
    setup: () => ({
      transports: [
        {
          type: 'stdio',
          schema: entrySchema,
          describe: (entry: StdioEntry) => entry.command,
          connect: (entry: StdioEntry, context: TransportContext) => connect(entry, context, passEnv),
        },
      ],
    }),
  })
}

/** Resolves as soon as the process runs; what it says is another matter. */
async function connect(entry: StdioEntry, context: TransportContext, passEnv: readonly string[]): Promise<Connection> {
  context.signal.throwIfAborted()
  try {
    const child = spawnServer(entry, serverEnvironment(process.env, entry.env ?? {}, passEnv))
    const connection = child.pid === undefined ? undefined : connectChild(child, recorded(child.pid, context), context)
    // Rejects with the reason when nothing runs; there is no pid then.
    await once(child, 'spawn')
    if (connection === undefined) throw new Error('it has no process id')
    return connection
  } catch (error) {
    throw startFailure(entry, context.name, error)
  }
}

/** A group that cannot be recorded is ended at once: nobody would reap it after a crash. */
function recorded(pid: number, context: TransportContext): Group {
  try {
    return createGroup(pid, context.processGroup(pid))
  } catch (error) {
    void createGroup(pid, () => {}).end()
    throw error
  }
}
