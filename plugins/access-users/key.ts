import { normaliseEmail } from './email.ts'

/** Begins the key of a user who is listed by the identity provider's own id. */
export const SUBJECT = 'sub:'

/** A key of users.json in the form users are looked up by: `sub:` keys as they are, e-mail addresses normalised; `undefined` for anything else. */
export function userKey(text: string): string | undefined {
  if (!text.startsWith(SUBJECT)) return normaliseEmail(text)
  return text.length > SUBJECT.length && !/\p{Cc}/u.test(text) ? text : undefined
}
