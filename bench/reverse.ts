/** The yardstick for HTTP upstreams: a bare `node:http` reverse proxy that reads nothing. `node reverse.ts <url>`. */
import { Agent, createServer, request as ask } from 'node:http'

import { serve } from './listen.ts'

const target = new URL(process.argv[2] ?? '')
const agent = new Agent({ keepAlive: true })

const server = createServer((request, response) => {
  const { method, url, headers } = request
  const options = { agent, host: target.hostname, port: target.port, method, path: url, headers }
  const onward = ask(options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', () => response.destroy())
  request.pipe(onward)
})
serve(server)
