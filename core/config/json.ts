import { getNodeValue, parseTree, printParseErrorCode } from 'jsonc-parser'
import type { Node, ParseError } from 'jsonc-parser'
import { ProxyError } from '../errors.ts'
import { isObject } from '../wire/jsonrpc.ts'
import { didYouMean } from './nearest.ts'
import type { ServerList } from './servers.ts'
import { complain, jsonSource, lineCounter } from './source.ts'
import type { Source } from './source.ts'

/** Top-level keys that other programs keep in the same file. */
const FOREIGN = new Set(
  '$schema inputs globalShortcut preferences scale theme locale darkMode userThemeMode version sandbox'.split(' '),
)
const OURS = ['mcpServers', 'servers', 'inputs']

/** Reads a Claude-format file (comments and trailing commas allowed); throws `ERR_PROXY_CONFIG` with line and column. */
export function parseServerFile(file: string, content: string): { list: ServerList; warnings: readonly string[] } {
  const text = content.replace(/^\uFEFF/, '')
  const tree = parse(file, text)
  const source = jsonSource(file, text, tree)
  // jsonc-parser builds objects without a prototype: a server may be called "__proto__".
  const whole: unknown = getNodeValue(tree)
  if (!isObject(whole)) throw new ProxyError('ERR_PROXY_CONFIG', `${file}:1: expected an object with "mcpServers"`)
  const root = whole.mcpServers === undefined && whole.servers !== undefined ? 'servers' : 'mcpServers'
  const servers = whole[root] ?? {}
  if (!isObject(servers)) {
    throw new ProxyError('ERR_PROXY_CONFIG', complain(source, [root], 'expected an object, a server per key'))
  }
  return {
    list: { root, entries: Object.entries(servers), strict: false, source, inputs: inputsOf(whole.inputs) },
    warnings: [...unknownKeys(Object.keys(whole), root, source), ...doubles(tree, root, source, text)],
  }
}

function parse(file: string, text: string): Node {
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first !== undefined) {
    const column = first.offset - text.lastIndexOf('\n', first.offset - 1)
    const place = `${file}:${lineCounter(text)(first.offset)}:${column}`
    throw new ProxyError('ERR_PROXY_CONFIG', `${place}: not valid JSON: ${sentence(printParseErrorCode(first.error))}`)
  }
  if (tree === undefined)
    throw new ProxyError('ERR_PROXY_CONFIG', `${file}:1: empty; expected an object with "mcpServers"`)
  return tree
}

/** `CommaExpected` → `comma expected` */
function sentence(code: string): string {
  return code.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase()
}

function unknownKeys(keys: readonly string[], root: string, source: Source): string[] {
  const unknown = keys.filter((key) => key !== root && !FOREIGN.has(key))
  return unknown.map((key) => {
    if (key === 'servers') return complain(source, [key], 'not read, because "mcpServers" is there too')
    return complain(source, [key], `unknown key, not read${didYouMean(key, OURS)}`)
  })
}

function doubles(tree: Node, root: string, source: Source, text: string): string[] {
  const servers = tree.children?.findLast((property) => property.children?.[0]?.value === root)?.children?.[1]
  const lineAt = lineCounter(text)
  const seen = new Set<string>()
  const warnings: string[] = []
  for (const property of servers?.children ?? []) {
    const name: unknown = property.children?.[0]?.value
    if (typeof name !== 'string') continue
    if (seen.has(name)) {
      warnings.push(`${source.file}:${lineAt(property.offset)} ${root}.${name}: there twice; the last one counts`)
    }
    seen.add(name)
  }
  return warnings
}

/** VS Code's `inputs`: what each one says about itself, by id. */
function inputsOf(value: unknown): ReadonlyMap<string, string> {
  const inputs = new Map<string, string>()
  for (const input of Array.isArray(value) ? value : []) {
    if (!isObject(input) || typeof input.id !== 'string' || typeof input.description !== 'string') continue
    inputs.set(input.id, input.description)
  }
  return inputs
}
