import type { Kernel } from '../kernel.ts'
import type { UpstreamStatus } from '../status.ts'
import { fits, openScreen } from './screen.ts'
import { lineOf, tableOf } from './table.ts'
import { isColourful, style } from './text.ts'
import type { Urls } from './urls.ts'

export interface BannerOptions {
  readonly kernel: Pick<Kernel, 'upstreams' | 'on' | 'ready' | 'authenticated'>
  readonly urls: Urls
  /** As configured. */
  readonly host: string
  /** Ends the banner before its time. */
  readonly signal: AbortSignal
  readonly out?: NodeJS.WriteStream
  readonly log?: NodeJS.WriteStream
}

/** Wide enough for most reasons where no terminal sets a limit. */
const PLAIN_WIDTH = 160

/**
 * Says on standard output what the proxy stands for: the servers – on a terminal drawn anew while they connect,
 * otherwise a line each as it settles and then the table –, where it listens, how to add it to a client and, once every
 * server has settled, `ready <url>`. Resolves then, or when `signal` aborts.
 */
export async function showBanner(options: BannerOptions): Promise<void> {
  const { kernel, urls, signal, out = process.stdout } = options
  const settled = Promise.race([kernel.ready, aborted(signal)])
  const footer = footerOf(options)
  if (fits(out, [...table(kernel.upstreams, out), ...footer])) await drawLive(options, footer, settled)
  else await writePlain(options, footer, settled)
  if (!signal.aborted) out.write(`${bold(out, `ready ${kernel.authenticated ? urls.client : urls.local}`)}\n`)
}

async function drawLive(options: BannerOptions, footer: readonly string[], settled: Promise<void>): Promise<void> {
  const { kernel, out = process.stdout, log = process.stderr } = options
  const screen = openScreen(out, log)
  const draw = (): void => screen.draw([...table(kernel.upstreams, out), ...footer])
  const off = kernel.on(draw)
  try {
    draw()
    await settled
    draw()
  } finally {
    off()
    screen.close()
  }
}

async function writePlain(options: BannerOptions, footer: readonly string[], settled: Promise<void>): Promise<void> {
  const { kernel, signal, out = process.stdout } = options
  const told = new Set<string>()
  const tell = (): void => {
    for (const upstream of kernel.upstreams) {
      if (upstream.state === 'connecting' || told.has(upstream.name)) continue
      told.add(upstream.name)
      out.write(`${lineOf(upstream)}\n`)
    }
  }
  const off = kernel.on(tell)
  try {
    tell()
    await settled
  } finally {
    off()
  }
  if (signal.aborted) return
  tell()
  out.write(`${['', ...table(kernel.upstreams, out), ...footer].join('\n')}\n`)
}

function table(upstreams: readonly UpstreamStatus[], out: NodeJS.WriteStream): readonly string[] {
  if (upstreams.length === 0) return []
  return tableOf(upstreams, { width: out.isTTY ? (out.columns || 80) - 1 : PLAIN_WIDTH, colour: isColourful(out) })
}

function footerOf({ kernel, urls, host }: BannerOptions): readonly string[] {
  const none = 'No servers yet: add one to "mcpServers" in mcp-proxy.config.ts or mcp_config.json, then start again.'
  return [
    ...(kernel.upstreams.length === 0 ? [none] : []),
    '',
    `Listening on ${urls.local}`,
    kernel.authenticated ? `Login required: clients know the endpoint as ${urls.client}` : exposure(host),
    `Add it to a client:  claude mcp add --transport http mcp-proxy ${urls.client}`,
    '',
  ]
}

function exposure(host: string): string {
  return /^(127\.|::1$|\[::1\]$|localhost$)/.test(host)
    ? `No authentication: only this machine can connect (${host})`
    : `No authentication: everybody who reaches ${host} can use every tool`
}

function bold(out: NodeJS.WriteStream, text: string): string {
  return isColourful(out) ? style('bold', text) : text
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
