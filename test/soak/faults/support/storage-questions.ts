import { ALICE, PASSWORD } from '../../../plugins/auth-local/client.ts'
import { deleteSession, openSession, withLogin } from './callers.ts'
import type { Login, People } from './people.ts'
import type { Program } from './program.ts'
import { expectStatus, statusOf, type Question } from './questions.ts'

/** Not now, but nothing is lost: what clients keep their tokens at. */
const LATER = '503 temporarily_unavailable'
/** The same as a page. */
const LATER_PAGE = '503 Not possible for now'

/** Everything that wants to write in the data folder, prepared as far as it goes without a fault. */
export async function storageQuestions(program: Program, people: People): Promise<readonly Question[]> {
  const { url } = program
  const login = await people.logIn()
  const fetcher = withLogin(login)
  const [ending, set] = [await openSession(url, fetcher), await openSession(url, fetcher)]
  return [
    {
      what: 'a new session',
      right: /^200$/,
      async ask() {
        await openSession(url, fetcher)
        return '200'
      },
      again: () => openSession(url, fetcher),
    },
    {
      what: 'DELETE of a session',
      right: /^(204|50[03])/,
      ask: async () => statusOf(await deleteSession(url, ending, fetcher)),
      async again() {
        await expectStatus(await deleteSession(url, ending, fetcher), 204, 404)
        await expectStatus(await ending.post({ jsonrpc: '2.0', id: 1, method: 'ping' }), 404)
      },
    },
    {
      what: 'logging/setLevel in a session',
      right: /^(accepted|refused)/,
      ask: () => setLevel(set),
      async again() {
        if ((await setLevel(set)) !== 'accepted') throw new Error('refused')
      },
    },
    {
      what: 'a registration',
      right: new RegExp(`^(201|${LATER})`),
      ask: async () => statusOf(await people.register()),
      again: async () => expectStatus(await people.register(), 201),
    },
    {
      what: 'the begin of a login',
      right: new RegExp(`^(303 goes on|303 temporarily_unavailable|${LATER_PAGE})`),
      ask: async () => statusOf(await people.authorize(login.client)),
      again: async () => expectStatus(await people.authorize(login.client), 303),
    },
    await atThePassword(people),
    await atTheCode(people),
    refreshOf(program, people, await people.logIn()),
  ]
}

async function setLevel(session: { request(method: string, params: object): Promise<any> }): Promise<string> {
  const { result, error } = await session.request('logging/setLevel', { level: 'warning' })
  return result === undefined ? `refused: ${String(error?.message)}` : 'accepted'
}

async function atThePassword(people: People): Promise<Question> {
  const login = await people.toLogin()
  return {
    what: 'a login, from the password on',
    right: new RegExp(`^(303 goes on|303 temporarily_unavailable|${LATER_PAGE})`),
    async ask() {
      const proved = await login.submit(ALICE, PASSWORD)
      const callback = proved.headers.get('location')
      return statusOf(callback === null ? proved : await login.browser.get(callback))
    },
    again: () => people.logIn(),
  }
}

async function atTheCode(people: People): Promise<Question> {
  const form = await people.toCode()
  let isRedeemed = false
  const redeem = async (): Promise<Response> => {
    const response = await people.token(form)
    isRedeemed ||= response.status === 200
    return response
  }
  return {
    what: 'an authorization code',
    right: new RegExp(`^(200|${LATER})`),
    ask: async () => statusOf(await redeem()),
    again: async () => isRedeemed || expectStatus(await redeem(), 200),
  }
}

/** The one that must not fail: who is told `invalid_grant` throws the login away. */
export function refreshOf({ url }: Pick<Program, 'url'>, people: People, login: Login): Question {
  return {
    what: 'a token refresh',
    right: new RegExp(`^(200|${LATER})`),
    ask: async () => statusOf(await people.renew(login)),
    async again() {
      await expectStatus(await people.renew(login), 200)
      await openSession(url, withLogin(login))
    },
  }
}
