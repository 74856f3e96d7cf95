import { inspect } from 'node:util'
import { createConsola } from 'consola/core'
import type { ConsolaInstance, ConsolaReporter, LogObject } from 'consola/core'
import { colors } from 'consola/utils'

export interface LoggerOptions {
  /** `error`, `warn`, `info`, `debug` or `trace`. */
  readonly level: string
  readonly format: 'pretty' | 'json'
  /** Default: standard error. Standard output belongs to the banner. */
  readonly stream?: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>
}

const NAMES = ['error', 'warn', 'info', 'info', 'debug', 'trace'] as const
const DEBUG = 4

/** A log on standard error: one line per record, whatever the message holds. Objects among the arguments become fields. */
export function createLogger(options: LoggerOptions): ConsolaInstance {
  const stream = options.stream ?? process.stderr
  const write = options.stream === undefined ? writeSoon : (line: string) => void stream.write(`${line}\n`)
  const paint = stream.isTTY && !process.env.NO_COLOR
  const level = levelOf(options.level)
  return createConsola({
    level,
    // consola takes two different errors for the same message and holds one back.
    throttle: 0,
    reporters: [options.format === 'json' ? jsonReporter(write) : prettyReporter(write, paint)],
  })
}

let waiting: string | undefined

/**
 * Lines of one moment go to standard error together: each write to a pipe or a file waits for the system, and every call has a
 * line. What is still there when the process ends is written then.
 */
function writeSoon(line: string): void {
  if (waiting === undefined) process.on('exit', flush)
  if (!waiting) setImmediate(flush)
  waiting = `${waiting ?? ''}${line}\n`
}

function flush(): void {
  if (waiting) process.stderr.write(waiting)
  waiting = ''
}

function levelOf(name: string): number {
  const index = NAMES.lastIndexOf(name as (typeof NAMES)[number])
  return index === -1 ? 3 : index
}

function jsonReporter(write: (line: string) => void): ConsolaReporter {
  return {
    log(record, { options }) {
      const { message, fields, stacks } = contentOf(record)
      const line = {
        time: record.date.toISOString(),
        level: levelName(record),
        ...(record.tag === '' ? {} : { tag: record.tag }),
        message,
        ...(stacks.length > 0 && options.level >= DEBUG ? { stack: stacks.join('\n') } : {}),
      }
      // Twice: the first keeps these keys in front, the second lets no field stand in for them.
      write(stringify({ ...line, ...fields, ...line }, () => ({ ...line, fields: shown(fields) })))
    },
  }
}

function prettyReporter(write: (line: string) => void, paint: boolean): ConsolaReporter {
  const tint = { error: colors.red, warn: colors.yellow, info: colors.cyan, debug: colors.gray, trace: colors.gray }
  return {
    log(record, { options }) {
      const { message, fields, stacks } = contentOf(record)
      const level = levelName(record)
      const name = level.toUpperCase().padEnd(5)
      const rest = Object.entries(fields).map(([key, value]) => `${printable(key)}=${printable(shown(value))}`)
      const parts = [
        record.date.toTimeString().slice(0, 8),
        paint ? tint[level](name) : name,
        ...(record.tag === '' ? [] : [`[${printable(record.tag)}]`]),
        printable(message),
        ...rest,
      ]
      write(parts.join(' '))
      if (options.level < DEBUG) return
      for (const frame of stacks.flatMap((stack) => stack.split('\n'))) write(`    ${printable(frame.trim())}`)
    },
  }
}

function levelName(record: LogObject): (typeof NAMES)[number] {
  return NAMES[Math.min(Math.max(record.level, 0), 5)] ?? 'info'
}

interface Content {
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** Stack frames of every error among the arguments, without their messages. */
  readonly stacks: readonly string[]
}

/** What a record says: `log('text', { field: 1 }, error)`, and consola's own `log({ message, field: 1 })`. */
function contentOf(record: LogObject): Content {
  const {
    args,
    date: _date,
    level: _level,
    tag: _tag,
    type: _type,
    message: _message,
    additional: _more,
    ...own
  } = record
  const fields: Record<string, unknown> = { ...own }
  const words: string[] = []
  const errors: string[] = []
  const stacks: string[] = []
  for (const arg of args) {
    if (arg instanceof Error) {
      errors.push(messageOf(arg))
      stacks.push(framesOf(arg))
    } else if (isPlain(arg)) Object.assign(fields, arg)
    else words.push(typeof arg === 'string' ? arg : shown(arg))
  }
  const text = words.join(' ')
  // Where the text was made of the error's message, the error would only repeat it.
  const rest = errors.filter((message) => !text.includes(message))
  return { message: [text, ...rest].filter((part) => part !== '').join(': '), fields, stacks }
}

/** The message of an error and of its causes. */
function messageOf(error: Error): string {
  const seen = new Set<unknown>()
  const messages: string[] = []
  for (let one: unknown = error; one instanceof Error && !seen.has(one); one = one.cause) {
    const text = one.message || one.name
    // Where a message was made of its cause's, the cause would only repeat it.
    if (!messages.some((message) => message.includes(text))) messages.push(text)
    seen.add(one)
  }
  return messages.join(': ')
}

function framesOf(error: Error): string {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return lines.join('\n')
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value, { breakLength: Infinity, depth: 4 })
}

/** JSON escapes line breaks by itself; what it cannot write (cycles, bigint) is shown as text. */
function stringify(whole: Record<string, unknown>, instead: () => Record<string, unknown>): string {
  try {
    return printable(JSON.stringify(whole))
  } catch {
    return printable(JSON.stringify(instead()))
  }
}

// oxlint-disable-next-line no-control-regex -- exactly those: they would forge lines or steer the terminal
const CONTROL = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The same text on one line: control characters become escapes that JSON reads too. */
function printable(text: string): string {
  return text.replace(CONTROL, (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
