import { expect, test } from 'vitest'
import { openScreen, fits } from '../../../core/cli/screen.ts'
import { lineOf, tableOf } from '../../../core/cli/table.ts'
import { columns } from '../../../core/cli/text.ts'
import { urlsOf } from '../../../core/cli/urls.ts'
import type { UpstreamStatus } from '../../../core/status.ts'

const up: UpstreamStatus = { name: 'time', transport: 'stdio', state: 'up', tools: 12, took: 1234 }
const down: UpstreamStatus = {
  name: 'far',
  transport: 'streamable-http',
  state: 'down',
  tools: 0,
  reason: `refused ${'x'.repeat(200)}`,
}
const hostile: UpstreamStatus = {
  name: 'e\u001B[2Jvil',
  transport: '?',
  state: 'invalid',
  tools: 0,
  reason: 'a\nb\u001B[1A\u202Ec',
}

test('columns line up, reasons are cut to the width', () => {
  expect(tableOf([up, down], { width: 60, colour: false })).toEqual([
    'server  transport        state  tools  time',
    'time    stdio            up        12  1.2 s',
    'far     streamable-http  down       –  –      refused xxxxx…',
  ])
})

test('no line is wider than the terminal', () => {
  for (const width of [10, 20, 44, 60]) {
    for (const line of tableOf([up, down, { ...up, name: '時間'.repeat(30) }], { width, colour: false })) {
      expect(columns(line)).toBeLessThanOrEqual(width)
    }
  }
})

test('nothing a server says moves the cursor or breaks the line', () => {
  const text = [...tableOf([hostile], { width: 100, colour: false }), lineOf(hostile)].join('|')
  expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u)
})

test('colours only where asked for', () => {
  expect(tableOf([up], { width: 80, colour: true }).join()).toContain('\u001B[32mup')
  expect(tableOf([up], { width: 80, colour: false }).join()).not.toContain('\u001B')
})

test('a line of its own says state, tools and time, or the reason', () => {
  expect(lineOf(up)).toBe('time [stdio] up (12 tools, 1.2 s)')
  expect(lineOf({ ...down, reason: 'refused' })).toBe('far [streamable-http] down: refused')
})

/** A terminal that keeps what it is told. */
function terminal(columns: number, rows = 24) {
  const written: string[] = []
  return {
    written,
    columns,
    rows,
    isTTY: true,
    write: (text: string | Uint8Array) => (written.push(String(text)), true),
  }
}

test('a drawing is replaced in place; long lines count as the rows they take', () => {
  const out = terminal(10)
  const screen = openScreen(out, terminal(10))
  screen.draw(['short', 'x'.repeat(25)])
  screen.draw(['new'])
  screen.close()
  expect(out.written).toEqual([`short\n${'x'.repeat(25)}\n`, '\u001B[4A\u001B[J', 'new\n'])
})

test('the log goes above the drawing, and is itself again afterwards', () => {
  const tty = terminal(80)
  const plain = tty.write
  const screen = openScreen(tty, tty)
  screen.draw(['table'])
  tty.write('log\n')
  expect(tty.written.at(-1)).toBe('table\n')
  expect(tty.written).toContain('log\n')
  screen.close()
  expect(tty.write).toBe(plain)
})

test('what does not fit on the screen is not drawn in place', () => {
  expect(fits(terminal(80, 5), ['1', '2', '3', '4'])).toBe(true)
  expect(fits(terminal(80, 5), ['1', '2', '3', '4', '5'])).toBe(false)
  expect(fits({ ...terminal(80), isTTY: false }, ['1'])).toBe(false)
})

test('urls: the bound address, or the public origin where one is set', () => {
  const bound = { address: '0.0.0.0', family: 'IPv4', port: 1234 }
  const config = { baseUrl: 'http://localhost:0', baseUrlIsDefault: true, mcpPath: '/mcp' }
  expect(urlsOf(config, bound, false)).toEqual({
    local: 'http://127.0.0.1:1234/mcp',
    client: 'http://127.0.0.1:1234/mcp',
  })
  const set = { ...config, baseUrl: 'https://x.example', baseUrlIsDefault: false }
  expect(urlsOf(set, { ...bound, address: '::1' }, false)).toEqual({
    local: 'http://[::1]:1234/mcp',
    client: 'https://x.example/mcp',
  })
  // Somebody wrote down what is the default too: that is where clients are told to go.
  expect(urlsOf({ ...config, baseUrlIsDefault: false }, bound, false).client).toBe('http://localhost:0/mcp')
  // Logins are bound to the origin, be it the default one.
  const login = { ...config, baseUrl: 'http://localhost:8080' }
  expect(urlsOf(login, bound, true)).toEqual({
    local: 'http://127.0.0.1:1234/mcp',
    client: 'http://localhost:8080/mcp',
  })
})
