/** Writes `schema/mcp_config.schema.json` from the zod schemas; with `--check` it only says whether the file is current. */
import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { settingsSchema } from '../core/config/schema.ts'
import { entrySchema as sse } from '../plugins/transport-sse/index.ts'
import { entrySchema as stdio } from '../plugins/transport-stdio/index.ts'
import { entrySchema as streamable } from '../plugins/transport-streamable/index.ts'

const FILE = new URL('../schema/mcp_config.schema.json', import.meta.url)
const INPUTS = z
  .array(z.looseObject({ id: z.string(), description: z.string().optional() }))
  .describe('VS Code inputs; ${input:id} is read from MCP_INPUT_<ID>.')

/** The Claude format, in draft 2020-12. Unknown keys are allowed, as other programs keep theirs in the same file. */
function build(): string {
  const server = z.union([
    settingsSchema.extend(stdio.shape).loose().describe('A program, spoken with over its standard input and output.'),
    settingsSchema.extend(streamable.shape).loose().describe('A server elsewhere, spoken with over Streamable HTTP.'),
    settingsSchema.extend(sse.shape).loose().describe('A server elsewhere, spoken with over the older HTTP+SSE.'),
  ])
  const servers = z.record(z.string().min(1), server).meta({ id: 'servers' })
  const file = z.looseObject({
    mcpServers: servers.optional().describe('MCP servers by name.'),
    servers: servers.optional().describe('The same, as VS Code calls it.'),
    inputs: INPUTS.optional(),
  })
  const schema = z.toJSONSchema(file, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    // zod's readonly() is about our types; in a schema the word would forbid editing.
    override: ({ jsonSchema }) => void delete jsonSchema.readOnly,
  })
  return `${JSON.stringify({ title: 'MCP servers', ...schema }, undefined, 2)}\n`
}

const wanted = build()
if (!process.argv.includes('--check')) {
  writeFileSync(FILE, wanted)
} else if (read() !== wanted) {
  console.error('schema/mcp_config.schema.json is not current; run: node scripts/schema.ts')
  process.exitCode = 1
}

function read(): string | undefined {
  try {
    return readFileSync(FILE, 'utf8')
  } catch {
    return undefined
  }
}
