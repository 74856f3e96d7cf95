import { isDeepStrictEqual } from 'node:util'
import type { Act, Heard } from '../../../fixtures/actor/script.ts'
import { callOf, noteOf, ownerOf, questionOf, serverOf, type Done, type Player, type Said } from './player.ts'

/** All that happened in a run. */
export interface Story {
  readonly players: readonly Player[]
  readonly done: readonly Done[]
}

/** What is wrong with a story, in words; nothing, where all is well. */
type Complaints = readonly string[]

/** Servers that ask whoever calls, and nobody else: no question there is refused by the proxy. */
const ASKING = new Set(['own', 'web', 'wpost', 'mpipe', 'mweb'])
/** Where the wire itself says which call a log message is about. */
const EXACT_LOGS = new Set(['mweb', 'wpost'])
const EXACT_ASKS = new Set(['mpipe', 'mweb', 'wpost'])

/** Everything that is wrong with a story. */
export function complaintsOf(story: Story): Complaints {
  const parties = new Map(story.players.map(({ name, party }) => [name, party]))
  return [
    ...story.players.flatMap((player) => strays(player, parties)),
    ...story.done.flatMap((done) => [
      ...badEnd(done),
      ...badProgress(done),
      ...badLogs(done),
      ...badResult(done, story),
      ...afterwards(done),
    ]),
    ...askedTwice(story),
  ]
}

/** Nobody hears of another's call; and of one's own calls each on its own stream, where the wire can tell. */
function strays(player: Player, parties: ReadonlyMap<string, string>): Complaints {
  const asked = new Set<unknown>()
  const isOurs = (nonce: string) => parties.get(ownerOf(nonce)) === player.party
  return player.said.flatMap(({ on, message }) => {
    const { method, params, id } = message
    const isOwn = (nonce: string, exact: ReadonlySet<string>) => {
      return isOurs(nonce) && (!player.isRaw || !exact.has(serverOf(nonce)) || on === nonce)
    }
    const isFine = () => {
      switch (method) {
        case undefined:
          return true
        case 'notifications/progress':
          return ownerOf(on) === player.name && String(params.message).startsWith(`${on} `)
        case 'notifications/message':
          return params.data.late === true ? isOurs(params.data.about) : isOwn(params.data.about, EXACT_LOGS)
        case 'notifications/cancelled':
          return asked.has(params.requestId)
        default: {
          const question = questionOf(message)
          asked.add(id)
          return question.includes('?late') ? isOurs(callOf(question)) : isOwn(callOf(question), EXACT_ASKS)
        }
      }
    }
    return isFine() ? [] : [`${player.name} hears on ${on}: ${JSON.stringify(message)}`]
  })
}

const streamOf = ({ player, nonce }: Done): readonly Said[] => player.said.filter(({ on }) => on === nonce)
const isEnd = ({ message }: Said) => message.method === undefined && message.result?.resultType !== 'input_required'

/** Every call ends once, and with that its stream. */
function badEnd(done: Done): Complaints {
  const { nonce, player, response, failure, step } = done
  if (failure !== undefined) return [`${nonce}: ${failure}`]
  const ends = streamOf(done).filter(isEnd)
  const isLetGo = response === undefined && step.cancel !== undefined && (player.era === 'modern' || !player.isRaw)
  const wanted = isLetGo && player.isRaw ? 0 : 1
  if (ends.length !== wanted) return [`${nonce}: ${ends.length} ends, not ${wanted}`]
  const last = streamOf(done).at(-1)
  return wanted === 1 && last?.message !== ends[0]?.message && !(isLetGo && !player.isRaw)
    ? [`${nonce}: after its end comes ${JSON.stringify(last?.message)}`]
    : []
}

/** What a script says, by its numbers. */
function spokenIn({ step }: Done, what: 'progress' | 'log'): number[] {
  let said = 0
  return step.script.acts.flatMap((act) => {
    if (act.do === 'wait') return []
    const numbers = Array.from({ length: act.do === 'ask' ? act.meanwhile : act.times }, () => ++said)
    return (act.do === 'ask' ? 'progress' : act.do) === what ? numbers : []
  })
}

/** The number of progress that a server reports after its answer on another stream: it may overtake the answer. */
function lateNumber({ step }: Done): number | undefined {
  if (!step.server.startsWith('w') || !step.script.late.includes('progress')) return undefined
  const numberOf = (act: Act): number => (act.do === 'ask' ? act.meanwhile : act.do === 'wait' ? 0 : act.times)
  return step.script.acts.reduce((sum, act) => sum + numberOf(act), 1)
}

/** Whether a script was played to its end. */
function isWhole(done: Done): boolean {
  return done.step.cancel === undefined && done.failure === undefined && !refusedItself(done)
}

/** A session's client that answers a server of 2026-07-28 with an error ends its call with that. */
function refusedItself({ player, nonce }: Done): boolean {
  if (player.era !== 'legacy' || !serverOf(nonce).startsWith('m')) return false
  return player.given.some(({ question, isError }) => isError && callOf(question) === nonce)
}

/** Progress comes in order, each once; of a call that ends by itself, all of it. */
function badProgress(done: Done): Complaints {
  const { nonce, player } = done
  const progress = player.said.filter(({ on, message }) => on === nonce && message.method === 'notifications/progress')
  const numbers = progress.map(({ message }) => Number(String(message.params.message).split(' ')[1]))
  const seen = numbers.filter((number) => number !== lateNumber(done))
  const spoken = spokenIn(done, 'progress')
  // The clients of the SDKs drop progress that comes together with the answer.
  const isComplete = isWhole(done) && player.isRaw
  const wanted = isComplete ? spoken : spoken.slice(0, seen.length)
  // It goes on rising from round to round by itself: nothing is to be added.
  const isKept = progress.every(({ message }, at) => message.params.progress === numbers[at])
  return isDeepStrictEqual(seen, wanted) && isKept ? [] : [`${nonce}: progress is ${seen.join()}, not ${wanted.join()}`]
}

/** Of the log each line comes once at most; where it is certain whose it is, all of it. */
function badLogs(done: Done): Complaints {
  const { nonce, player } = done
  const lines = player.said.filter(
    ({ message }) => message.method === 'notifications/message' && message.params.data.about === nonce,
  )
  const seen = lines
    .filter(({ message }) => message.params.data.late !== true)
    .map(({ message }) => message.params.data.said)
  const spoken = spokenIn(done, 'log')
  const server = serverOf(nonce)
  const isCertain = EXACT_LOGS.has(server) || (server === 'own' && player.era === 'legacy')
  const isComplete = isCertain && isWhole(done) && player.isRaw && !player.name.endsWith('quiet')
  const sorted = [...seen].sort((a, b) => a - b)
  const wanted = isComplete ? spoken : spoken.filter((number) => sorted.includes(number))
  const isSilent = player.name.endsWith('quiet') && seen.length > 0
  return isDeepStrictEqual(sorted, wanted) && !isSilent
    ? []
    : [`${nonce}: of the log came ${seen.join()}, not ${wanted.join()}`]
}

/** Every call has its own result, in which every answer is to its own question, and is what its own client gave. */
function badResult(done: Done, story: Story): Complaints {
  const { nonce, step, response, failure, player } = done
  if (failure !== undefined || response === undefined) return []
  const complain = (what: string) => [`${nonce}: ${what} in ${JSON.stringify(response)}`]
  const { error, result } = response
  if (error !== undefined) {
    if (error.message.includes(nonce) && step.script.ends === 'error') return []
    return step.cancel !== undefined && error.message === 'Request cancelled' ? [] : complain('an unexpected error')
  }
  const text = result.content?.[0]?.text
  if (refusedItself(done)) return result.isError === true && text.includes('refused by') ? [] : complain('no refusal')
  if (!String(text).startsWith('{')) return complain('no result of this server')
  const { nonce: said, heard } = JSON.parse(text) as { nonce: string; heard: Heard[] }
  if (said !== nonce) return complain(`the result of ${said}`)
  if ((result.isError === true) !== (step.script.ends === 'isError')) return complain('an unexpected end')
  const asked = step.script.acts.reduce((sum, act) => sum + (act.do === 'ask' ? act.kinds.length : 0), 0)
  if (heard.length !== asked) return complain(`${heard.length} answers, not ${asked}`)
  const ours = story.players.filter(({ party }) => party === player.party)
  return heard.flatMap((each) => (isAnswered(each, nonce, ours) ? [] : complain(`a wrong answer to ${each.question}`)))
}

function isAnswered({ question, result, error, gaveUp }: Heard, nonce: string, ours: readonly Player[]): boolean {
  if (callOf(question) !== nonce) return false
  if (gaveUp) return true
  if (result !== undefined) {
    const note = noteOf(result)
    // A refused form says nothing more with some clients.
    if (note === undefined) return ours.some(({ given }) => given.some((each) => each.question === question))
    const given = ours.find(({ name }) => name === note.by)?.given[note.nth]
    return note.to === question && given?.question === question && !given.isError
  }
  const isRefusedByClient = ours.some(({ given }) => given.some((each) => each.isError && each.question === question))
  if (isRefusedByClient) return error?.message.includes('refused by') ?? false
  return !ASKING.has(serverOf(nonce)) && (error?.message.includes('"isolate"') ?? false)
}

/** After its answer nothing more is said about a call, on no stream, unless its server does so late. */
function afterwards(done: Done): Complaints {
  const { nonce, player, step } = done
  const end = player.said.findIndex((each) => each.on === nonce && isEnd(each))
  if (end === -1) return []
  return player.said.slice(end + 1).flatMap(({ on, message }) => {
    const question = message.id !== undefined && message.method !== undefined ? questionOf(message) : ''
    const isProgress =
      message.method === 'notifications/progress' && String(message.params.message).startsWith(`${nonce} `)
    const givesUp = step.script.acts.some((act) => act.do === 'ask' && act.giveUp !== undefined)
    const isQuestion =
      callOf(question) === nonce && !question.includes('?late') && step.cancel === undefined && !givesUp
    return isProgress || isQuestion ? [`${nonce} has ended, yet ${on} says ${JSON.stringify(message)}`] : []
  })
}

/** A question is put to a session's client once. */
function askedTwice({ players }: Story): Complaints {
  return players
    .filter(({ era }) => era === 'legacy')
    .flatMap(({ name, said }) => {
      const questions = said.filter(({ message }) => message.method !== undefined && message.id !== undefined)
      const seen = questions.map(({ message }) => questionOf(message))
      return seen
        .filter((question, at) => seen.indexOf(question) !== at)
        .map((question) => `${name} is asked ${question} again`)
    })
}
