import { isDeepStrictEqual } from 'node:util'
import { markOf, tokenOf, type Done, type Member } from './crowd.ts'

/** All that happened in a run. */
export interface Story {
  readonly members: readonly Member[]
  readonly done: readonly Done[]
}

/** What is wrong with a story, in words; nothing, where all is well. */
type Complaints = readonly string[]

export const legacyOf = ({ members }: Story) => members.filter(({ wire }) => wire !== undefined)

const heardBy = ({ members }: Story, owner: string) =>
  members.flatMap((member) => (member.owner === owner ? member.heard : []))
const oneTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

/** Nobody hears what another's call has caused. */
export function strays({ members }: Story): Complaints {
  return members.flatMap(({ owner, heard, uris }) => {
    const questions = new Set<unknown>()
    return heard.flatMap(({ message }) => {
      const { method, params, id } = message
      if (method === undefined) return []
      if (id !== undefined) questions.add(id)
      const mark = markOf(message)
      const fits =
        method === 'notifications/cancelled'
          ? questions.has(params.requestId)
          : method === 'notifications/resources/updated'
            ? uris.has(params.uri)
            : mark === '' || mark.startsWith(`${owner} `)
      return fits ? [] : [`${owner} hears ${JSON.stringify(message)}`]
    })
  })
}

/** On the stream of a call: what the server says, then the one answer, then nothing. */
export function badEnds(story: Story): Complaints {
  return story.done.flatMap(({ owner, mark, on, step, response }) => {
    const stream = heardBy(story, owner).filter((heard) => heard.on === on)
    const answers = stream.filter(({ message }) => message.id === on && message.method === undefined)
    // Only a modern client closes the stream of what it cancels.
    const wanted = response === undefined && owner === 'modern' && step.cancel !== undefined ? 0 : 1
    if (answers.length !== wanted) return [`${mark}: ${answers.length} answers, not ${wanted}`]
    return wanted === 1 && stream.at(-1) !== answers[0] ? [`${mark}: something comes after its answer`] : []
  })
}

/** Progress comes on the stream of its call alone, in order; of a call that ends by itself, all of it. */
export function badProgress(story: Story): Complaints {
  return story.done.flatMap(({ owner, mark, on, step }) => {
    const progress = heardBy(story, owner).filter(({ message }) => message.params?.progressToken === tokenOf(mark))
    const seen: number[] = progress.map(({ message }) => message.params.progress)
    const all = step.tool === 'progress' || step.tool === 'deaf' ? oneTo(step.amount) : []
    const wanted = step.cancel === undefined ? all : all.slice(0, seen.length)
    if (!isDeepStrictEqual(seen, wanted)) return [`${mark}: progress is ${seen.join()}, not ${wanted.join()}`]
    return progress.every((heard) => heard.on === on) ? [] : [`${mark}: progress on another stream`]
  })
}

/** Every call that is not cancelled has its own result. */
export function badResults({ done }: Story): Complaints {
  const marked = done.filter(
    ({ step }) => step.cancel === undefined && !['subscribe', 'touch', 'ask'].includes(step.tool),
  )
  return marked.flatMap(({ mark, response }) => {
    const text = response?.result?.content[0].text
    return text !== undefined && JSON.parse(text).mark === mark ? [] : [`${mark}: ${JSON.stringify(response)}`]
  })
}

/** Questions that were not answered by the client whose call asked; a modern client cannot be asked. */
export function badAnswers(story: Story): Complaints {
  return answersOf(story).flatMap(({ owner, mark, answer }) => {
    const fits =
      owner === 'modern' ? answer.error?.code === -32601 : isDeepStrictEqual(answer, { result: { by: owner, mark } })
    return fits ? [] : [`${mark}: ${JSON.stringify(answer)}`]
  })
}

/** Log lines that did not come, or not once, of those clients that always listen. */
export function lostLogs(story: Story, listens: readonly boolean[]): Complaints {
  return legacyOf(story)
    .filter((_, index) => listens[index])
    .flatMap(({ owner, heard }) =>
      story.done.flatMap(({ owner: doer, step, mark }) => {
        if (doer !== owner || step.cancel !== undefined) return []
        const lines = heard.filter(
          ({ message }) => message.method === 'notifications/message' && markOf(message) === mark,
        )
        // One log may come on several streams, which are in no order among each other.
        const seen = lines.map(({ message }) => message.params.data.at).sort((a, b) => a - b)
        const spoken = step.tool === 'log' || step.tool === 'deaf' ? oneTo(step.amount) : []
        const wanted = step.tool === 'late' ? [undefined] : spoken
        return isDeepStrictEqual(seen, wanted) ? [] : [`${mark}: of the log came ${seen.join()}, not ${wanted.join()}`]
      }),
    )
}

/** Questions and logs that reached anybody, and questions that were not refused with the way out. */
export function leakedAsksAndLogs(story: Story): Complaints {
  const heard = story.members.flatMap(({ owner, heard }) =>
    heard
      .filter(({ message }) => message.method === 'notifications/message' || (message.method && message.id))
      .map(({ message }) => `${owner} hears ${JSON.stringify(message)}`),
  )
  const refused = answersOf(story).filter(({ answer }) => !answer.error?.message.includes('"isolate"'))
  return [...heard, ...refused.map(({ mark, answer }) => `${mark}: ${JSON.stringify(answer)}`)]
}

function answersOf({
  done,
}: Story): readonly { readonly owner: string; readonly mark: string; readonly answer: any }[] {
  return done
    .filter(({ step }) => step.tool === 'ask' && step.cancel === undefined)
    .map(({ owner, mark, response }) => ({ owner, mark, answer: JSON.parse(response.result.content[0].text) }))
}
