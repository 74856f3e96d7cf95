import { reasonOf } from '../../core/index.ts'
import { principalOf, type Login } from './logins.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parts } from './parts.ts'

/**
 * Whether the person behind a login may still use the proxy; else the login ends and `invalid_grant` is thrown. Not being able to
 * say is no reason to log anybody out: `temporarily_unavailable`.
 */
export async function checkUser(parts: Parts, login: Login): Promise<void> {
  try {
    if ((await parts.permissions(principalOf(login))) !== undefined) return
  } catch (error) {
    throw new OAuthError('temporarily_unavailable', 'This is not possible for now; try again later.', {
      reason: reasonOf(error),
    })
  }
  const reason = 'the user is not on the list'
  await parts.end(login.id, reason)
  throw new OAuthError('invalid_grant', 'The grant is invalid.', { reason })
}

/** An e-mail address that came with a refresh counts no more than one that comes with a login, see `Pins`. */
export async function checkAccount(parts: Parts, { id, client, user }: Login): Promise<void> {
  const { pins, settings, logger, userLabel, end } = parts
  if (await pins.claim(user)) return
  const what = 'this e-mail address has logged in from another account before'
  logger.warn(`${what}${settings.pinSub ? '; refresh refused' : ''}`, {
    event: 'other-account',
    user: userLabel(user),
    client,
  })
  if (!settings.pinSub) return
  await end(id, what)
  throw new OAuthError('invalid_grant', 'The grant is invalid.', { reason: what })
}
