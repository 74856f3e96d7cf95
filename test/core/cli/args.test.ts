import { expect, test } from 'vitest'
import { readArgs } from '../../../core/cli/args.ts'

const none = { help: false, version: false, debug: false }

test('nothing: start', () => {
  expect(readArgs([])).toEqual({ options: none, args: [] })
})

test('options of start', () => {
  expect(readArgs(['--debug', '--config', 'a.json', '--host=::1', '--port', '0'])).toEqual({
    options: { ...none, debug: true, config: 'a.json', host: '::1', port: '0' },
    args: [],
  })
})

test('options may stand on both sides of check', () => {
  expect(readArgs(['--debug', 'check', '-c', 'a.json'])).toEqual({
    options: { ...none, debug: true, config: 'a.json' },
    command: 'check',
    args: [],
  })
})

test('the value of an option is no command', () => {
  expect(readArgs(['--config', 'check']).command).toBeUndefined()
})

test("what follows a plugin's command is its own", () => {
  expect(readArgs(['--debug', 'users', 'add', '--password-stdin', '--config', 'x'])).toEqual({
    options: { ...none, debug: true },
    command: 'users',
    args: ['add', '--password-stdin', '--config', 'x'],
  })
})

test.each([[['--bogus']], [['--config']], [['check', 'more']], [['check', '--bogus']]])('%j makes no sense', (argv) => {
  expect(() => readArgs(argv)).toThrow()
})
