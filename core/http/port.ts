import { lookup } from 'node:dns/promises'
import { createServer } from 'node:net'
import { sleep } from '../backoff.ts'
import { ProxyError } from '../errors.ts'

/** How the port is waited for. Times in milliseconds. */
export interface PortWait {
  readonly host: string
  readonly port: number
  readonly limit?: number
  readonly step?: number
  readonly signal?: AbortSignal
  /** Called once, when the first try finds the port taken. */
  readonly onBusy?: () => void
}

/**
 * Waits until the port can be bound: true, or false when it is still taken after `limit` or when `signal` aborts.
 * Rejects ERR_PROXY_CONFIG where waiting is no use (no such address, no permission).
 */
export async function waitForPort(options: PortWait): Promise<boolean> {
  const { host, port, limit = 10_000, step = 500, signal, onBusy } = options
  if (port === 0) return true
  for (let waited = 0; ; waited += step) {
    if (await isFree(host, port)) return true
    if (waited === 0) onBusy?.()
    if (waited < limit) await sleep(step, signal)
    if (waited >= limit || signal?.aborted) return false
  }
}

/** The IP address to bind for a host name. Rejects ERR_PROXY_CONFIG when there is none. */
export async function addressOf(host: string): Promise<string> {
  try {
    const { address } = await lookup(host)
    if (address) return address
  } catch {
    // said below, together with the case of an empty answer
  }
  throw new ProxyError('ERR_PROXY_CONFIG', `host "${host}": no such address on this machine; check MCP_HOST or --host`)
}

/** Translates why a port could not be bound; undefined when it is taken, which may pass. */
export function bindProblem(error: unknown, host: string, port: number): ProxyError | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') return undefined
  const hint =
    code === 'EACCES'
      ? 'no permission; choose a port above 1023 with MCP_PORT or --port'
      : code === 'EADDRNOTAVAIL'
        ? 'not an address of this machine; check MCP_HOST or --host'
        : String(code ?? error)
  return new ProxyError('ERR_PROXY_CONFIG', `cannot listen on ${host} port ${port}: ${hint}`, { cause: error })
}

async function isFree(host: string, port: number): Promise<boolean> {
  const address = await addressOf(host)
  const probe = createServer()
  return new Promise((resolve, reject) => {
    probe.once('error', (error) => {
      const problem = bindProblem(error, host, port)
      if (problem) reject(problem)
      else resolve(false)
    })
    probe.listen({ host: address, port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
