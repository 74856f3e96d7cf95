import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { EXIT } from '../../core/index.ts'
import { flawOf, LONGEST, SHORTEST } from './password.ts'
import { interrupted, Stop } from './stop.ts'

/** Where a password is typed, and where one is asked for it. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly prompts: NodeJS.WritableStream
}

const OWN: Terminal = { input: process.stdin, prompts: process.stderr }

/** A new password, from the terminal or from standard input; it has no flaw. Throws `Stop`. */
export async function askPassword(fromStdin: boolean, terminal: Terminal = OWN): Promise<string> {
  if (fromStdin) return checked(await readFirstLine(terminal.input))
  if (terminal.input.isTTY !== true) {
    throw new Stop(EXIT.usage, 'There is no terminal to type a password on; give it with --password-stdin.')
  }
  return typeTwice(terminal)
}

function checked(password: string): string {
  const flaw = flawOf(password)
  if (flaw === undefined) return password
  throw new Stop(EXIT.failed, `The password ${flaw}; nothing was changed.`)
}

/** Without echo; the terminal is left as it was found, also after Ctrl-C. */
async function typeTwice({ input, prompts }: Terminal): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 })
  let end = new Stop(EXIT.failed, 'No password was given; nothing was changed.')
  lines.on('SIGINT', () => {
    end = interrupted()
    lines.close()
  })
  const typed = lines[Symbol.asyncIterator]()

  async function ask(question: string): Promise<string> {
    prompts.write(question)
    const { value, done } = await typed.next()
    prompts.write('\n')
    if (done === true) throw end
    return value
  }

  try {
    const password = checked(await ask(`New password (at least ${SHORTEST} characters): `))
    if ((await ask('Once more: ')) === password) return password
    throw new Stop(EXIT.failed, 'These were two different passwords; nothing was changed.')
  } finally {
    lines.close()
  }
}

/** The first line, without its end; reads no more than a password can be long. */
async function readFirstLine(input: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk)
    const end = bytes.indexOf('\n')
    chunks.push(end < 0 ? bytes : bytes.subarray(0, end))
    size += bytes.length
    if (end >= 0 || size > 2 * LONGEST) break
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)).replace(/\r$/, '')
  } catch {
    throw new Stop(EXIT.failed, 'The password is not UTF-8 text; nothing was changed.')
  }
}
