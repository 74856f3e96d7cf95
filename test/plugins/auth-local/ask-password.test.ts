import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { askPassword } from '../../../plugins/auth-local/ask-password.ts'

/** A terminal somebody types this on, all at once. */
function terminal(typed: string) {
  const raw: boolean[] = []
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => raw.push(on) })
  const prompts = new PassThrough()
  input.write(typed)
  return { input, prompts, raw, shown: () => String(prompts.read() ?? '') }
}

test('a password is typed twice, without echo', async () => {
  const typed = terminal('twelve chars\rtwelve chars\r')
  expect(await askPassword(false, typed)).toBe('twelve chars')
  expect(typed.shown()).toBe('New password (at least 12 characters): \nOnce more: \n')
  expect(typed.raw).toEqual([true, false])
})

test('keys that correct do so, others type nothing', async () => {
  const typed = terminal('twelv\u001B[A\u007Fve charsX\u007F\rmistake\u0015twelve chars\r')
  expect(await askPassword(false, typed)).toBe('twelve chars')
})

test.each([
  ['twelve chars\rtwelve  chars\r', 1, 'two different passwords'],
  ['too short\r', 1, 'shorter than 12 characters'],
  ['\u0003', 130, ''],
  ['twelve chars\rtwel\u0003', 130, ''],
  ['\u0004', 1, 'No password was given'],
])('%j leaves everything as it was', async (text, exitCode, message) => {
  const typed = terminal(text)
  const asked = askPassword(false, typed)
  await expect(asked).rejects.toMatchObject({ exitCode, message: expect.stringContaining(message) })
  expect(typed.raw).toEqual([true, false])
  expect(typed.shown()).not.toContain('twel')
})

test('without a terminal nothing is asked', async () => {
  const asked = askPassword(false, { input: Readable.from([]), prompts: new PassThrough() })
  await expect(asked).rejects.toMatchObject({ exitCode: 64, message: expect.stringContaining('--password-stdin') })
})

const fromStdin = (...chunks: (string | Buffer)[]) =>
  askPassword(true, { input: Readable.from(chunks.map(Buffer.from)), prompts: new PassThrough() })

test.each([
  ['alone', ['twelve chars']],
  ['with its end', ['twelve chars\n']],
  ['with the end of Windows', ['twelve chars\r\n']],
  ['in pieces', ['twel', 've ch', 'ars\nmore']],
])('from standard input, the first line %s', async (_, chunks) => {
  expect(await fromStdin(...chunks)).toBe('twelve chars')
})

test('nothing but the end of the line is taken away', async () => {
  expect(await fromStdin('  twelve chars  \n')).toBe('  twelve chars  ')
  const e = Buffer.from('é')
  expect(await fromStdin('twelve char', e.subarray(0, 1), e.subarray(1))).toBe('twelve charé')
})

test.each([
  ['nothing', [''], 'shorter'],
  ['an empty line', ['\n', 'twelve chars'], 'shorter'],
  ['control characters', ['twelve\u0000chars'], 'control characters'],
  ['bytes that are no text', [Buffer.from([...Buffer.from('twelve chars'), 0xff])], 'not UTF-8'],
])('%s is refused', async (_, chunks, message) => {
  const refused = { exitCode: 1, message: expect.stringContaining(message) }
  await expect(fromStdin(...chunks)).rejects.toMatchObject(refused)
})

test('input without end is not read to its end', async () => {
  let read = 0
  const endless = Readable.from(
    (function* () {
      for (;;) {
        read++
        yield Buffer.alloc(1000, 'x')
      }
    })(),
  )
  const asked = askPassword(true, { input: endless, prompts: new PassThrough() })
  await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('longer than 1024 bytes') })
  expect(read).toBeLessThan(50)
})
