import type { z } from 'zod'
import { didYouMean } from './nearest.ts'
import { KNOWN_KEYS } from './schema.ts'
import { pathText } from './source.ts'
import type { Path } from './source.ts'

/** One thing wrong with a value. */
export interface Fault {
  readonly path: Path
  readonly what: string
}

/** zod's issues, one fault for each unknown key, in the words of our messages. */
export function faultsOf(error: z.ZodError): Fault[] {
  return error.issues.flatMap((issue): Fault[] => {
    const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
    if (issue.code !== 'unrecognized_keys') return [{ path, what: plain(issue.message) }]
    const known = KNOWN_KEYS[pathText(path)] ?? []
    return issue.keys.map((key) => ({ path: [...path, key], what: `unknown key${didYouMean(key, known)}` }))
  })
}

/** `Invalid input: expected boolean, received string` → `expected boolean, received string` */
export function plain(message: string): string {
  return message.replace(/^Invalid (?:input|option): /, '')
}
