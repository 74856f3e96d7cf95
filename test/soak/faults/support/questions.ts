import { setTimeout as sleep } from 'node:timers/promises'
import type { Row } from '../../scenario.ts'
import type { LogLine, ProxyLog } from '../../support/log.ts'
import { msOf } from '../../support/numbers.ts'
import { wordsOf } from './callers.ts'

/** Something a client does during a fault, and what it may get. */
export interface Question {
  readonly what: string
  /** Does it; resolves what the client got in a few words. What it rejects with is what it got too. */
  ask(): Promise<string>
  /** What of that breaks no promise. */
  readonly right: RegExp
  /** Does it again after the fault; resolves or rejects as it goes. */
  again(): Promise<unknown>
}

/** What came of one. */
export interface Answered {
  readonly question: Question
  readonly got: string
  /** The first line at `warn` or above while it was asked. */
  readonly line: LogLine | undefined
  /** Whether it was refused without the log saying why. */
  readonly isUntold: boolean
}

/** What a client gets where something cannot be done. */
const REFUSAL = /^(50\d|303 temporarily_unavailable|refused)/

/** How long (ms) a line of the log may be on its way, and how long anything may take to work again. */
const ON_ITS_WAY = 60
const RETURN_LIMIT = 20_000

/** Asks one after the other; the log must say `why` something was refused. Never rejects. */
export async function askAll(questions: readonly Question[], log: ProxyLog, why = /./): Promise<readonly Answered[]> {
  const answered: Answered[] = []
  for (const question of questions) {
    const from = log.lines.length
    const got = await question.ask().catch(wordsOf)
    await sleep(ON_ITS_WAY)
    const line = firstTrouble(log, from)
    answered.push({
      question,
      got,
      line,
      isUntold: REFUSAL.test(got) && (line === undefined || !why.test(line.message)),
    })
  }
  return answered
}

/** The first line at `warn` or above after the first `from`; `about`: that says this. */
export function firstTrouble(log: ProxyLog, from: number, about = /./): LogLine | undefined {
  const isTrouble = ({ level }: LogLine): boolean => level === 'warn' || level === 'error' || level === 'fatal'
  return log.lines.slice(from).find((line) => isTrouble(line) && about.test(line.message))
}

/** The fault is over, since `since` (of `performance.now()`): does everything again until it works, and tells of both. */
export async function rowsOf(fault: string, answered: readonly Answered[], since: number): Promise<readonly Row[]> {
  return Promise.all(
    answered.map(async ({ question, got, line, isUntold }) => {
      const { what, right, again } = question
      const back = await untilWorks(again, since)
      const holds = right.test(got) && !isUntold && !back.startsWith('never')
      return rowOf({ fault, what, holds, got, line, back: isUntold ? `the log does not say why; ${back}` : back })
    }),
  )
}

/** How long it took until it worked; begins with `never` where it did not. */
export async function untilWorks(again: () => Promise<unknown>, since: number): Promise<string> {
  let failure: unknown
  // Ever more slowly: who asks too often is told so, and nothing else.
  for (let pause = 20; pause === 20 || performance.now() - since < RETURN_LIMIT; pause *= 1.5) {
    try {
      await again()
      return `again after ${msOf(performance.now() - since)}`
    } catch (error) {
      failure = error
      await sleep(pause)
    }
  }
  return `never again (${wordsOf(failure).slice(0, 120)})`
}

export interface Told {
  readonly fault: string
  readonly what: string
  readonly holds: boolean
  readonly got: string
  readonly line?: LogLine | undefined
  /** How it came back, where there was something to come back. */
  readonly back?: string | undefined
  readonly amount?: string
}

/** A row: what the client got, what the log said, how long it took to work again. */
export function rowOf({ fault, what, holds, got, line, back, amount = '1' }: Told): Row {
  const measured = [`client: ${got}`, `log: ${inShort(line)}`, ...(back === undefined ? [] : [back])].join('; ')
  return { what: `${fault}: ${what}`, amount, holds, measured }
}

/** Rows of one fault, whose clients were answered again after `back`. */
export function rowsAbout(fault: string, back: string) {
  return (what: string, holds: boolean, got: string, line?: LogLine, amount?: number): Row =>
    rowOf({ fault, what, holds, got, line, back, ...(amount !== undefined && { amount: String(amount) }) })
}

/** A line without what differs from run to run. */
function inShort(line: LogLine | undefined): string {
  if (line === undefined) return 'nothing'
  const text = line.message
    .split('\n', 1)[0]!
    .replaceAll(/[0-9a-f]{64}/g, '…')
    .replaceAll(/(?:\/[\w.%-]+){3,}\/([\w.%-]+…?)/g, '…/$1')
  return `${line.level} "${text.length > 170 ? `${text.slice(0, 170)}…` : text}"`
}

/** A status, and how the body calls what is wrong. */
export async function statusOf(response: Response): Promise<string> {
  const body = await response.text()
  let word: string | undefined
  try {
    const { error } = JSON.parse(body) as { readonly error?: string | { readonly message: string } }
    word = typeof error === 'object' ? error.message : error
  } catch {
    word = /<title>([^<]*)/.exec(body)?.[1]
  }
  const location = response.headers.get('location')
  const sent = location === null ? undefined : (new URL(location, 'http://x').searchParams.get('error') ?? 'goes on')
  return [String(response.status), word ?? sent ?? ''].join(' ').trim()
}

/** Rejects unless the status is one of these. */
export async function expectStatus(response: Response, ...wanted: number[]): Promise<Response> {
  if (wanted.includes(response.status)) return response
  throw new Error(await statusOf(response))
}
