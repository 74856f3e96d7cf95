import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKernel, resolveConfig, type Config, type Kernel, type UntypedConfig } from '../core/index.ts'
import { serveHttp } from '../core/http/server.ts'
import type { JsonObject, RpcResponse } from '../core/index.ts'
import { captureLog, type LogLine } from './log.ts'
import { modernRequest, responseIn } from './wire.ts'

/** A running proxy in this process. */
export interface TestProxy {
  readonly kernel: Kernel
  /** The MCP endpoint. */
  readonly url: string
  readonly origin: string
  readonly lines: readonly LogLine[]
  /** Everything logged so far, at every level. */
  log(): string
  /**
   * Sends one request of the era 2026-07-28 (`tools/call`, `{ name, arguments }`) and resolves its response. Rejects where
   * the proxy answers with something else than JSON-RPC.
   */
  request(method: string, params?: JsonObject, headers?: Readonly<Record<string, string>>): Promise<RpcResponse>
  /** Ends everything, and removes the data folder where the configuration named none. */
  close(): Promise<void>
}

export interface TestProxyOptions {
  /** Where plugins and servers are looked up; default: the working directory. */
  readonly rootDir?: string
  /** The environment that plugins see; default: an empty one. */
  readonly env?: Readonly<Record<string, string>>
  /** False: does not wait for the servers to settle. */
  readonly settled?: boolean
}

/** Without `plugins` in the configuration. */
const PLUGINS: readonly string[] = ['transport-stdio', 'transport-streamable', 'storage-fs']

/** A real proxy on a port of its own at 127.0.0.1, with a data folder of its own; its servers have settled when it resolves. */
export async function openTestProxy(
  config: Config | UntypedConfig,
  { rootDir = process.cwd(), env = {}, settled = true }: TestProxyOptions = {},
): Promise<TestProxy> {
  const folder = await openDataFolder(config.dataDir)
  const captured = captureLog()
  const undo: (() => Promise<void>)[] = [folder.remove]
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step()
  }
  try {
    const plugins = config.plugins ?? PLUGINS
    const resolved = resolveConfig({ ...config, plugins, dataDir: folder.path }, { rootDir, env })
    const kernel = await createKernel(resolved, { logger: captured.logger })
    undo.push(kernel.close)
    const onerror = (message: string, error: unknown): void => captured.logger.error(message, error)
    const server = await serveHttp({ host: '127.0.0.1', port: 0, fetch: kernel.fetch, onerror })
    // Streams end with the kernel: the listener has nothing left to wait for.
    undo.splice(-1, 0, () => server.close(1000))
    kernel.start()
    if (settled) await kernel.ready
    const origin = `http://127.0.0.1:${server.address.port}`
    const url = origin + resolved.mcpPath
    return {
      kernel,
      url,
      origin,
      lines: captured.lines,
      log: captured.text,
      request: async (method, params, headers) => responseIn(await fetch(url, modernRequest(method, params, headers))),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A data folder: the one given, or a new one that `remove` takes away. */
export async function openDataFolder(given?: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
  if (given !== undefined) return { path: given, remove: async () => undefined }
  const path = await mkdtemp(join(tmpdir(), 'mcp-proxy-test-'))
  // More than once: what was begun before the end may still be writing.
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 }) }
}
