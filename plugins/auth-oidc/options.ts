import { z } from 'zod'
import { oauthOptionsSchema, type OAuthOptions } from '../auth-oauth/index.ts'

/** Options that every provider takes besides those of the authorization server. */
export const providerOptionsSchema = oauthOptionsSchema.extend({
  clientId: z.string().min(1).optional(),
  /** Better kept in the environment. */
  clientSecret: z.string().min(1).optional(),
  /** The API that access tokens are asked for. */
  audience: z.string().min(1).optional(),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5B\x5D-\x7E]+$/))
    .min(1)
    .optional(),
  /** Claim of the access token that holds the e-mail address, where the ID token has none. */
  emailClaim: z.string().min(1).optional(),
  /** For providers that never say whether an e-mail address is verified, because all of them are. */
  trustEmail: z.boolean().prefault(false),
  /** Further parameters of the authorization request, such as `connection`, `organization` or `prompt`. */
  parameters: z.record(z.string(), z.string()).prefault({}),
})

export type ProviderOptions = z.input<typeof providerOptionsSchema>

const OWN = ['clientId', 'clientSecret', 'audience', 'scopes', 'emailClaim', 'trustEmail', 'parameters'] as const

/** What of the options is the authorization server's. */
export function oauthOptionsOf(options: object, ...more: readonly string[]): OAuthOptions {
  const own = new Set<string>([...OWN, ...more])
  return Object.fromEntries(Object.entries(options).filter(([key]) => !own.has(key)))
}
