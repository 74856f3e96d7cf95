import type { Remote, PluginContext, Route } from '../../core/index.ts'
import { normaliseEmail } from '../access-users/index.ts'
import {
  checkOrigin,
  createAddressLimit,
  endpoint,
  OAuthError,
  parametersOf,
  readForm,
  seeOther,
} from '../auth-oauth/index.ts'
import type { Account, Accounts } from './accounts.ts'
import type { Attempts } from './attempts.ts'
import { loginPage } from './login-page.ts'
import { isPassword, noPassword } from './password.ts'
import { createTries } from './tries.ts'
import { Busy, createTurns, type TurnsOptions } from './turns.ts'

export const LOGIN_PATH = '/login'

/** Requests of one address for this page. */
const RATE = { burst: 120, perMinute: 60 }
/** Passwords that are looked at at once, and how many may wait for it: seconds' worth. */
const TURNS = { atOnce: 2, waiting: 50 }

export interface LoginOptions {
  readonly context: Pick<PluginContext, 'config' | 'logger' | 'userLabel'>
  readonly accounts: Accounts
  readonly attempts: Attempts
  /** How the proxy calls itself. */
  readonly name: string
  /** For tests. */
  readonly turns?: TurnsOptions
}

/** What a check of a password came to. */
type Outcome = { readonly account: Account } | { readonly account: undefined; readonly left: number }

/** The page where people log in. Whatever is wrong, the answer is the same and takes as long. */
export function loginEndpoint({ context, accounts, attempts, name, turns = TURNS }: LoginOptions): Route {
  const { config, logger, userLabel } = context
  const issuer = config.baseUrl
  const { host } = new URL(issuer)
  // Not the time of day: set back, it would lock everybody out.
  const now = (): number => performance.now()
  const tries = createTries(now)
  const inTurn = createTurns(turns)
  const nobody = noPassword()

  async function show(request: Request): Promise<Response> {
    const attempt = parametersOf(new URL(request.url).searchParams).get('attempt') ?? ''
    if ((await attempts.find(attempt)) === undefined) throw unknown()
    return loginPage({ name, host, attempt })
  }

  async function logIn(request: Request, { address = '' }: Remote): Promise<Response> {
    checkOrigin(request, { issuer })
    const form = await readForm(request)
    const attempt = form.get('attempt') ?? ''
    if ((await attempts.find(attempt)) === undefined) throw unknown()
    const email = (form.get('email') ?? '').trim().slice(0, 320)
    const again = (status: number, problem: string, wait?: number): Response => {
      const headers = wait === undefined ? [] : [['retry-after', String(wait)] as const]
      return loginPage({ name, host, attempt, email, problem, status, headers })
    }
    const guessed = normaliseEmail(email) ?? email
    const wait = tries.take(guessed, address)
    if (wait > 0) return again(429, `There were too many tries for this e-mail. Try again in ${wait} seconds.`, wait)
    try {
      const outcome = await inTurn(() => check(attempt, email, form.get('password') ?? '', address))
      if (outcome.account !== undefined) {
        tries.give(guessed, address)
        return await goBack(attempt, outcome.account)
      }
      if (outcome.left > 0) return again(401, 'E-mail or password is wrong.')
    } catch (error) {
      if (error instanceof Busy) return again(503, 'Too many people are logging in just now. Try again.', 2)
      throw error
    }
    await attempts.take(attempt)
    throw new OAuthError(
      'access_denied',
      'E-mail or password was wrong too often. Start again from the program that sent you here.',
      { status: 403 },
    )
  }

  /** Counted first: many at once get no more tries than one after the other. */
  async function check(attempt: string, typed: string, password: string, address: string): Promise<Outcome> {
    const left = await attempts.count(attempt)
    if (left === undefined) throw unknown()
    const email = normaliseEmail(typed)
    const account = email === undefined ? undefined : await accounts.find(email)
    const isRight = await isPassword(password, account?.hash ?? nobody)
    if (account !== undefined && isRight) return { account }
    // An unknown e-mail is not repeated: people type their password there too.
    const user = account === undefined ? 'unknown' : userLabel(account)
    logger.warn('login failed: e-mail or password is wrong', { event: 'login-failed', user, address })
    return { account: undefined, left }
  }

  async function goBack(id: string, { id: account, email, stamp }: Account): Promise<Response> {
    const attempt = await attempts.take(id)
    if (attempt === undefined) throw unknown()
    const back = new URL(attempt.callback)
    back.searchParams.set('state', attempt.state)
    back.searchParams.set('code', await attempts.prove({ state: attempt.state, id: account, email, stamp }))
    return seeOther(back.href)
  }

  return endpoint({
    path: LOGIN_PATH,
    methods: ['GET', 'POST'],
    audience: 'page',
    logger,
    limit: createAddressLimit(RATE, now),
    handle: (request, remote) => (request.method === 'POST' ? logIn(request, remote) : show(request)),
  })
}

function unknown(): OAuthError {
  return new OAuthError(
    'invalid_request',
    'This login is unknown, too old or finished. Start again from the program that sent you here.',
  )
}
