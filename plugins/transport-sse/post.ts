import { isSuccess } from './answer.ts'
import { statusError } from './failure.ts'
import { send } from './http.ts'
import type { Reader, Reply } from './reply.ts'
import type { Site } from './site.ts'

/** Longest wait for the receipt of what needs no answer, in milliseconds. */
const LIMIT = 30_000

export interface PostRequest {
  /** Path and query; those of the site where absent. */
  readonly path?: string
  readonly headers: Record<string, string>
  readonly body: string
}

/**
 * Sends what needs no answer of its own. Resolves as soon as the server has taken it, whatever it goes on to say;
 * rejects `ConnectionError`. `forgot`: whether an answer says that the session is over.
 */
export async function post(
  site: Site,
  request: PostRequest,
  forgot: (reply: Reply) => boolean,
  reader: Pick<Reader, 'onmessage'> = {},
): Promise<void> {
  let take: () => void = () => {}
  const taken = new Promise<undefined>((resolve) => (take = () => resolve(undefined)))
  const underway = send(
    site,
    { method: 'POST', ...request },
    {
      ...reader,
      onhead({ status }) {
        if (!isSuccess(status)) return
        take()
        underway.release()
      },
    },
  )
  const timer = setTimeout(underway.stop, LIMIT)
  try {
    const reply = await Promise.race([underway.reply, taken])
    if (reply !== undefined && !isSuccess(reply.status)) throw statusError(site, reply, forgot(reply))
  } finally {
    clearTimeout(timer)
  }
}
