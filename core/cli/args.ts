import { parseArgs } from 'node:util'

/** Options of the command line itself. */
export interface Options {
  readonly help: boolean
  readonly version: boolean
  readonly debug: boolean
  /** `--config`: a file, as typed. */
  readonly config?: string
  readonly host?: string
  readonly port?: string
}

export interface CommandLine {
  readonly options: Options
  /** Absent: start the proxy. */
  readonly command?: string
  /** What stands behind a plugin's command: its own business. */
  readonly args: readonly string[]
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  debug: { type: 'boolean' },
  config: { type: 'string', short: 'c' },
  host: { type: 'string' },
  port: { type: 'string' },
} as const

/** The command that is not a plugin's. */
export const CHECK = 'check'

/**
 * Reads the command line: `[options] [command] [arguments]`. Options may also follow `check`; what follows any other
 * command is handed to it as it is. Throws node:util's TypeError for an unknown option or a missing value.
 */
export function readArgs(argv: readonly string[]): CommandLine {
  const lenient = parseArgs({ args: [...argv], options: OPTIONS, strict: false, allowPositionals: true, tokens: true })
  const first = lenient.tokens.find((token) => token.kind === 'positional')
  const at = first?.index ?? argv.length
  const own = first?.value === CHECK ? [...argv.slice(0, at), ...argv.slice(at + 1)] : argv.slice(0, at)
  const { values } = parseArgs({ args: [...own], options: OPTIONS, allowPositionals: false })
  return {
    options: { ...values, help: values.help ?? false, version: values.version ?? false, debug: values.debug ?? false },
    ...(first === undefined ? {} : { command: first.value }),
    args: first === undefined || first.value === CHECK ? [] : argv.slice(at + 1),
  }
}

export const HELP = `Usage: mcp-proxy-server [options] [command]

Puts many MCP servers behind one Streamable HTTP endpoint. Without a command it starts.

Commands:
  check             connect to each server once, print a table; exit code 0 when all are up
  <command> …       a command of a plugin; its options follow it

Options:
  -c, --config <file>   main file (.ts, .mts, .js, .mjs) or Claude-format JSON
      --host <host>     address to listen on (MCP_HOST)
      --port <port>     port to listen on (MCP_PORT); 0: any free one
      --debug           log everything
  -v, --version         version and commit
  -h, --help            this text

Exit codes: 0 ended as asked, 64 wrong command line, 75 port taken, 78 wrong configuration, 128+n signal n.
`
