import { createKernel } from '../kernel.ts'
import { CHECK } from './args.ts'
import { EXIT } from './exit.ts'
import type { Settings } from './settings.ts'

const HINT = 'Plugins bring commands along: "users" is there with MCP_AUTH_PROVIDER=local.\n'

/**
 * Runs a command that a plugin adds: after set-up, without a listener and without a server. Resolves its exit code, or 64
 * with a list of what there is. Throws what `createKernel` and the command throw.
 */
export async function runPluginCommand(
  { config, logger }: Settings,
  name: string,
  args: readonly string[],
): Promise<number> {
  const kernel = await createKernel(config, { logger, serving: false })
  try {
    const command = kernel.commands.find((known) => known.name === name)
    if (command !== undefined) return await command.run(args)
    const known = [
      `  ${CHECK}: connect to each server once`,
      ...kernel.commands.map((one) => `  ${one.name}: ${one.description}`),
    ]
    process.stderr.write(`mcp-proxy-server: unknown command "${name}"; there are:\n${known.join('\n')}\n${HINT}`)
    return EXIT.usage
  } finally {
    await kernel.close()
  }
}
