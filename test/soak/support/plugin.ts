import { definePlugin, EXIT, type Plugin } from '../../../core/index.ts'
import { holdings } from '../../e2e/support/holdings.ts'

/** Loaded into the worker: tells what it holds (`GET /holdings`), lets it start anew (`POST /anew`) or crash (`POST /crash`). */
export default function soak(): Plugin {
  return definePlugin({
    name: 'soak',
    setup: ({ exit }) => ({
      routes: [
        { method: 'GET', path: '/holdings', handler: () => Response.json(holdings()) },
        { method: 'POST', path: '/anew', handler: () => soon(() => exit(EXIT.reload, 'the soak wants it')) },
        {
          method: 'POST',
          path: '/crash',
          handler: () =>
            soon(() => {
              throw new Error('the soak wants it')
            }),
        },
      ],
    }),
  })
}

/** Once the request is answered. */
function soon(work: () => void): Response {
  setTimeout(work, 10)
  return new Response(null, { status: 202 })
}
