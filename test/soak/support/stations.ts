import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { node, servers } from '../../harness.ts'
import { NAME_VARIABLE } from './processes.ts'

/** A server behind the proxy, and how to find out whether it answers. */
export interface Station {
  readonly name: string
  /** Its entry in `mcpServers`. */
  readonly entry: object
  /** A call of one of its tools; its answer belongs to `nonce` and comes after about `ms`, where the server can wait. */
  ask(nonce: string, ms: number): { readonly tool: string; readonly args: Record<string, unknown> }
  /** Whether the text of a result is the answer to that call. */
  isAnswer(text: string, nonce: string): boolean
}

/** How a kind of server is called, whatever starts it. */
type Dialogue = (name: string) => Omit<Station, 'name' | 'entry'>

const echo: Dialogue = (name) => ({
  ask: (nonce) => ({ tool: `${name}_echo`, args: { message: nonce } }),
  isAnswer: (text, nonce) => text === `Echo: ${nonce}`,
})

const play: Dialogue = (name) => ({
  ask(nonce, ms) {
    const args = { nonce, acts: [{ do: 'wait', ms }], deaf: false, ends: 'result', late: [], aside: false }
    return { tool: `${name}_play`, args }
  },
  isAnswer: (text, nonce) => text === JSON.stringify({ nonce, heard: [] }),
})

/** The official example server as a program. */
export function everythingStation(name: string): Station {
  return { name, entry: program(name, servers.everything), ...echo(name) }
}

/** A scripted server, of either era, as a program; its answers take as long as they are told to. */
export function actorStation(name: string, era: 'legacy' | 'modern'): Station {
  return { name, entry: program(name, node('test/fixtures/actor-server.ts', era, 'stdio')), ...play(name) }
}

/** The official memory server as a program, with one thing in its memory, which is a file in `folder`. */
export function memoryStation(name: string, folder: string): Station {
  const file = join(folder, `${name}.jsonl`)
  writeFileSync(file, '{"type":"entity","name":"soak","entityType":"word","observations":["kept"]}\n')
  return {
    name,
    entry: program(name, servers.memory, { MEMORY_FILE_PATH: file }),
    ask: () => ({ tool: `${name}_search_nodes`, args: { query: 'soak' } }),
    isAnswer: (text) => text.includes('"kept"'),
  }
}

/** The official example server elsewhere. */
export function everythingElsewhere(name: string, url: string): Station {
  return { name, entry: { url }, ...echo(name) }
}

/** The scripted server elsewhere. */
export function actorElsewhere(name: string, url: string): Station {
  return { name, entry: { url }, ...play(name) }
}

/** `mcpServers` with all of them. */
export function entriesOf(stations: readonly Station[]): Record<string, object> {
  return Object.fromEntries(stations.map(({ name, entry }) => [name, entry]))
}

function program(name: string, entry: object, env: Record<string, string> = {}): object {
  return { ...entry, env: { ...env, [NAME_VARIABLE]: name } }
}
