/**
 * The floor for stdio upstreams: bare `node:http`, one child, ids swapped, nothing else – no checks, sessions or limits.
 * `node bridge.ts <command> [args…]`.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'

import { serve } from './listen.ts'

interface Message {
  id?: string | number
  method?: string
}

const [command = '', ...args] = process.argv.slice(2)
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
const waiting = new Map<number, { readonly id: string | number; readonly response: ServerResponse }>()
let last = 0

function deliver(line: string): void {
  const message = JSON.parse(line) as Message
  const call = waiting.get(Number(message.id))
  if (call === undefined) return
  waiting.delete(Number(message.id))
  message.id = call.id
  const body = Buffer.from(JSON.stringify(message))
  call.response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  call.response.end(body)
}

let parts: string[] = []
child.stdout.setEncoding('utf8')
child.stdout.on('data', (chunk: string) => {
  const lines = chunk.split('\n')
  for (let at = 0; at < lines.length - 1; at++) {
    deliver([...parts, lines[at]].join(''))
    parts = []
  }
  const rest = lines.at(-1) ?? ''
  if (rest !== '') parts.push(rest)
})
child.on('exit', () => process.exit(1))

function forward(body: string, response: ServerResponse): void {
  const message = JSON.parse(body) as Message
  if (message.id === undefined) {
    child.stdin.write(`${JSON.stringify(message)}\n`)
    response.writeHead(202).end()
    return
  }
  if (message.method === 'initialize') response.setHeader('mcp-session-id', randomUUID())
  waiting.set(++last, { id: message.id, response })
  message.id = last
  child.stdin.write(`${JSON.stringify(message)}\n`)
}

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(405).end()
    return
  }
  let body = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => (body += chunk))
  request.on('end', () => forward(body, response))
})
serve(server)
