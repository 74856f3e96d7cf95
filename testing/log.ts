import { createConsola, type ConsolaInstance, type LogObject } from 'consola'

export interface LogLine {
  readonly level: string
  /** The plugin's name, or `''`. */
  readonly tag: string
  readonly text: string
}

/** A log that is kept instead of shown. */
export interface CapturedLog {
  readonly logger: ConsolaInstance
  readonly lines: LogLine[]
  /** Everything logged so far. */
  text(): string
}

/** A logger that keeps every line at every level, errors with their stack. */
export function captureLog(): CapturedLog {
  const lines: LogLine[] = []
  const log = ({ type, tag, args }: LogObject): void => {
    lines.push({ level: type, tag, text: args.map(shown).join(' ') })
  }
  // Consola counts lines that repeat themselves instead of showing them; here each is wanted.
  const logger = createConsola({ level: 5, throttle: 0, reporters: [{ log }] })
  return { logger, lines, text: () => lines.map(({ level, tag, text }) => `${level} [${tag}] ${text}`).join('\n') }
}

function shown(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message
  return typeof value === 'string' ? value : JSON.stringify(value)
}
