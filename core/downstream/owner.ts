import type { Principal } from '../auth.ts'

/** Whose a session or a call is that outlives its HTTP request: one OAuth client of a principal is not another. */
export function ownerOf({ id, client }: Principal): string {
  return client === undefined ? id : `${id} ${client}`
}
