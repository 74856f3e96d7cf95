import { ProxyError, reasonOf } from '../errors.ts'
import { lineCounter } from './source.ts'

/** Whether a script exports no configuration at all. */
export function lacksExport(text: string): boolean {
  return !/\b(?:default|exports)\b/.test(text)
}

/** Why the main file could not be evaluated, as `ERR_PROXY_CONFIG` with the line as the loader knows it. */
export function evaluationFault(file: string, text: string, error: unknown): ProxyError {
  const reason = reasonOf(error)
  // jiti's parser, which has the last word also where Node's own was tried first: "ParseError: what\n file:line:column".
  const syntax = /^ParseError: ([\s\S]*?)\s*\n\s*(\S.*:\d+:\d+)\s*$/.exec(reason)
  if (syntax !== null) return fault(`${syntax[2]}: syntax error: ${syntax[1]}`, error)
  const [first = ''] = reason.split('\n')
  const line = lineOfModule(text, first) ?? lineInStack(file, error)
  return fault(`${line === undefined ? file : `${file}:${line}`}: cannot be evaluated: ${first}`, error)
}

function fault(message: string, cause: unknown): ProxyError {
  return new ProxyError('ERR_PROXY_CONFIG', message, { cause })
}

/** `Cannot find module 'x'`: the line that imports it. */
function lineOfModule(text: string, reason: string): number | undefined {
  const name = /^Cannot find (?:module|package) '([^']+)'/.exec(reason)?.[1]
  const offset = name === undefined ? -1 : Math.max(text.indexOf(`'${name}'`), text.indexOf(`"${name}"`))
  return offset === -1 ? undefined : lineCounter(text)(offset)
}

function lineInStack(file: string, error: unknown): number | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const line = stack.split(`${file}:`)[1]
  const digits = line === undefined ? null : /^\d+/.exec(line)
  return digits === null ? undefined : Number(digits[0])
}
