import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  customFetch,
  ResponseBodyError,
  type CustomFetch,
  type ServerMetadata,
} from 'openid-client'
import type { OidcSettings } from './settings.ts'

/** How a client shows its secret (OpenID Connect Core §9), in the order they are tried. */
const WAYS = ['client_secret_post', 'client_secret_basic'] as const

type Way = (typeof WAYS)[number]

interface RequestOptions {
  /** Time limit. */
  readonly seconds: number
  readonly fetch?: CustomFetch
}

/** This proxy as a client of the provider. */
export interface Client {
  /** For requests that need no secret. */
  configure(metadata: ServerMetadata, options: RequestOptions): Configuration
  /**
   * For those that do. Servers say which ways they know, not which one they want of this client: when the first is refused the
   * other one is tried, and the one that was taken stays. A refused client has used up nothing.
   */
  authenticated<T>(
    metadata: ServerMetadata,
    options: RequestOptions,
    request: (configuration: Configuration) => Promise<T>,
  ): Promise<T>
}

export function createClient({ clientId, clientSecret, issuer }: OidcSettings, fetch: CustomFetch): Client {
  let taken: Way | undefined

  function configure(metadata: ServerMetadata, options: RequestOptions, way?: Way): Configuration {
    const auth = way === 'client_secret_basic' ? ClientSecretBasic(clientSecret) : ClientSecretPost(clientSecret)
    const configuration = new Configuration(metadata, clientId, clientSecret, auth)
    configuration[customFetch] = options.fetch ?? fetch
    configuration.timeout = options.seconds
    // On this machine only, see `readAddress`; the endpoints were looked at when the metadata was read.
    if (issuer.startsWith('http:')) allowInsecureRequests(configuration)
    return configuration
  }

  return {
    configure,
    async authenticated(metadata, options, request) {
      const ways = waysOf(metadata)
      const [first = 'client_secret_basic'] = taken === undefined ? ways : [taken]
      try {
        const result = await request(configure(metadata, options, first))
        taken = first
        return result
      } catch (error) {
        const other = ways.find((way) => way !== first)
        if (other === undefined || !isRefused(error)) throw error
        const result = await request(configure(metadata, options, other))
        taken = other
        return result
      }
    },
  }
}

/** Where nothing is said it is Basic (OpenID Connect Discovery 1.0 §3). */
function waysOf({ token_endpoint_auth_methods_supported: said }: ServerMetadata): readonly Way[] {
  return said === undefined ? ['client_secret_basic'] : WAYS.filter((way) => said.includes(way))
}

function isRefused(error: unknown): boolean {
  return error instanceof ResponseBodyError && error.error === 'invalid_client'
}
