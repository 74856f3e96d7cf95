import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ledger } from './ledger.ts'
import type { Proxy, Servers } from './proxy.ts'
import { actorStation, type Station } from './stations.ts'

/** How the file is written: over the old one, beside it and renamed, in two parts that follow at once, or after a while. */
type Manner = 'in place' | 'renamed' | 'in halves' | 'slowly'

/** One edit of `mcp_config.json`. */
export interface Edit {
  readonly what: string
  readonly manner: Manner
  /** What the proxy is to make of it. */
  readonly expected: 'applied' | 'refused' | 'unchanged'
  /** The servers afterwards. */
  readonly servers: Servers
  /** Servers that are started anew; nothing is done to any other. */
  readonly restarts?: readonly string[]
  /** May be called from then on, or no longer. */
  readonly comes?: Station
  readonly goes?: string
  /** Whether clients see other tools. */
  readonly shows?: boolean
}

/** What the log says of an edit. */
const SAYS = {
  applied: /the configuration was applied/,
  refused: /the edited configuration is refused/,
  unchanged: /nothing in it has changed/,
} as const

/** How long (ms) until an edit is dealt with: seen, at rest, evaluated in a new process on a busy machine. */
const EDIT_LIMIT = 30_000

/** Ms between the halves of a file: so short that nobody looks in between, and so long that it is read. */
const AT_ONCE = 80
const AFTER_A_WHILE = 2500

/** Edits one after the other, each from what the one before has left; after the last they begin anew. `changing`: two servers that are there. */
export function editsOf(first: Servers, changing: readonly [string, string], shown: string): () => Edit {
  const [one, other] = changing
  let servers = first
  let count = 0
  const guest = (): Station => actorStation(`guest-${Math.floor(count / STEPS.length)}`, 'legacy')

  const STEPS: readonly (() => Edit)[] = [
    () => ({ ...changed(one), what: 'a variable changes', manner: 'renamed' }),
    () => ({ what: 'half a file', manner: 'in place', expected: 'refused', servers }),
    () => {
      const comes = guest()
      return {
        ...applied({ [comes.name]: comes.entry }),
        what: 'a new server',
        manner: 'in halves',
        comes,
        shows: true,
      }
    },
    () => ({ ...applied({}, [guest().name]), what: 'it is gone', manner: 'in place', goes: guest().name, shows: true }),
    () => ({ ...changed(other), what: 'a variable changes', manner: 'slowly' }),
    () => {
      const tools = { exclude: [`get-${count}*`, 'get-tiny-*'] }
      return { ...applied({ [shown]: { ...servers[shown], tools } }), what: 'other tools', manner: 'in place' }
    },
    () => ({ ...applied({ wrong: { comand: 'node' } }), what: 'a wrong entry', manner: 'renamed' }),
    () => ({ what: 'only a blank', manner: 'in place', expected: 'unchanged', servers }),
    () => ({ ...applied({}, ['wrong']), what: 'it is gone', manner: 'in halves' }),
    () => ({ ...changed(one, other), what: 'two variables change', manner: 'in place' }),
  ]

  function applied(more: Servers, fewer: readonly string[] = []) {
    const kept = Object.entries({ ...servers, ...more }).filter(([name]) => !fewer.includes(name))
    return { expected: 'applied' as const, servers: Object.fromEntries(kept) }
  }

  function changed(...names: readonly string[]) {
    const entries = names.map((name) => {
      const entry = servers[name] as { readonly env?: object }
      return [name, { ...entry, env: { ...entry.env, SOAK_EDIT: String(count) } }]
    })
    return { ...applied(Object.fromEntries(entries)), restarts: names }
  }

  return () => {
    const step = STEPS[count % STEPS.length]
    if (step === undefined) throw new Error('no edit')
    const edit = step()
    servers = edit.servers
    count++
    return edit
  }
}

/** What an edit is carried out on. */
export interface Editing {
  readonly proxy: Proxy
  /** Told which servers are started anew. */
  readonly ledger: Ledger
  /** The servers that may be called, by name. */
  readonly callable: Map<string, Station>
}

/** An edit, how long it took until the proxy had dealt with it (ms), and why that was not as expected, if so. */
export interface EditDone {
  readonly edit: Edit
  readonly took: number
  readonly problem?: string
}

/** Carries an edit out and waits for the proxy to say what it has made of it. Never rejects. */
export async function carryOut(edit: Edit, { proxy, ledger, callable }: Editing): Promise<EditDone> {
  if (edit.goes !== undefined) callable.delete(edit.goes)
  const disturbed = (edit.restarts ?? []).map((server) => ledger.disturb(server, 'changed'))
  const began = performance.now()
  const problem = await writeAndWait(edit, proxy).then(
    () => undefined,
    (error: Error) => error.message,
  )
  const took = performance.now() - began
  for (const { settle } of disturbed) settle()
  if (edit.comes !== undefined && problem === undefined) callable.set(edit.comes.name, edit.comes)
  return { edit, took, ...(problem !== undefined && { problem }) }
}

async function writeAndWait(edit: Edit, { configFile, log }: Proxy): Promise<void> {
  const from = log.lines.length
  const text = JSON.stringify({ mcpServers: edit.servers }, null, edit.expected === 'unchanged' ? 4 : 2)
  await write(configFile, edit.expected === 'refused' ? half(text) : text, edit.manner)
  await log.next(`${edit.what}: ${edit.expected}`, from, ({ message }) => SAYS[edit.expected].test(message), EDIT_LIMIT)
}

async function write(file: string, text: string, manner: Manner): Promise<void> {
  if (manner === 'in place') return writeFileSync(file, text)
  if (manner === 'renamed') {
    writeFileSync(`${file}.new`, text)
    return renameSync(`${file}.new`, file)
  }
  writeFileSync(file, half(text))
  await sleep(manner === 'slowly' ? AFTER_A_WHILE : AT_ONCE)
  appendFileSync(file, text.slice(half(text).length))
}

function half(text: string): string {
  return text.slice(0, Math.floor(text.length / 2))
}
