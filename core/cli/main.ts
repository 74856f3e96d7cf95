import { reasonOf } from '../errors.ts'
import { commit, version } from '../version.ts'
import { CHECK, HELP, readArgs } from './args.ts'
import type { CommandLine } from './args.ts'
import { listenEarly } from './early.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import type { Entry } from './start.ts'

/** Runs one command line; resolves the exit code. Never rejects: what goes wrong is said on standard error. */
export async function main(entry: Entry): Promise<number> {
  let line: CommandLine
  try {
    line = readArgs(entry.argv)
  } catch (error) {
    complain(`${reasonOf(error)}\nTry: mcp-proxy-server --help`)
    return EXIT.usage
  }
  try {
    return await run(line, entry)
  } catch (error) {
    const code = exitCodeOf(error)
    complain(code === EXIT.config || !(error instanceof Error) ? reasonOf(error) : (error.stack ?? error.message))
    return code
  }
}

/** Commands are imported when they are run: `--version` needs no server. */
async function run({ options, command, args }: CommandLine, entry: Entry): Promise<number> {
  if (options.help) return print(HELP)
  if (options.version) return print(`mcp-proxy-server ${version} (commit ${commit()})\n`)
  if (command === undefined) {
    listenEarly()
    return (await import('./start.ts')).start(options, entry)
  }
  const { loadSettings } = await import('./settings.ts')
  const settings = await loadSettings(options, process.env)
  if (command === CHECK) return (await import('./check.ts')).check(settings)
  return (await import('./plugin-command.ts')).runPluginCommand(settings, command, args)
}

function print(text: string): number {
  process.stdout.write(text)
  return EXIT.ok
}

function complain(text: string): void {
  process.stderr.write(`mcp-proxy-server: ${text}\n`)
}
