import { definePlugin, ProxyError, RpcError, type Plugin } from 'mcp-proxy-server'

export interface ExampleOptions {
  /** Tool calls that one user may make a minute. Default: 60. */
  readonly perMinute?: number
}

const MINUTE = 60_000
/** Of the codes that JSON-RPC leaves to servers. */
const TOO_MANY = -32_000

/** Limits how many tools a user may call within a minute. Throws `ERR_PROXY_CONFIG` for options that make no sense. */
export default function example(options: ExampleOptions = {}): Plugin {
  const perMinute = perMinuteOf(options)
  return definePlugin({
    name: 'example',
    apiVersion: 1,
    options: { perMinute },
    setup({ logger, userLabel }) {
      const made = new Map<string, number>()
      let minuteEnds = 0
      let refused = 0
      return {
        async middleware(call, next) {
          if (call.method !== 'tools/call') return next(call)
          const now = Date.now()
          if (now >= minuteEnds) {
            made.clear()
            minuteEnds = now + MINUTE
          }
          const count = (made.get(call.principal.id) ?? 0) + 1
          made.set(call.principal.id, count)
          if (count <= perMinute) return next(call)
          refused++
          if (count === perMinute + 1)
            logger.warn(`${userLabel(call.principal)} makes more than ${perMinute} calls a minute`)
          const seconds = Math.ceil((minuteEnds - now) / 1000)
          throw new RpcError(TOO_MANY, `Too many calls; try again in ${seconds} s.`, { retryAfter: seconds })
        },
        hooks: {
          close() {
            if (refused > 0) logger.info(`${refused} calls were refused`)
          },
        },
      }
    },
  })
}

/** Options come from a file that somebody has written: types alone check nothing. */
function perMinuteOf(options: unknown): number {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ProxyError('ERR_PROXY_CONFIG', 'example: the options must be an object such as { "perMinute": 60 }')
  }
  const { perMinute = 60, ...unknown } = options as Record<string, unknown>
  const [first] = Object.keys(unknown)
  if (first !== undefined) {
    throw new ProxyError('ERR_PROXY_CONFIG', `example: there is no option "${first}"; its only one is "perMinute"`)
  }
  if (typeof perMinute !== 'number' || !Number.isInteger(perMinute) || perMinute < 1) {
    throw new ProxyError('ERR_PROXY_CONFIG', 'example: "perMinute" must be a whole number from 1 on')
  }
  return perMinute
}
