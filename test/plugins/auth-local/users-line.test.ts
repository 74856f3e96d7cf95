import { expect, test } from 'vitest'
import { readUsersLine, USAGE } from '../../../plugins/auth-local/users-line.ts'

test.each([
  ['add Alice@Example.com', { action: 'add', email: 'alice@example.com', fromStdin: false }],
  [
    'add a@example.com --name Alice --role dev --role admin --tools time_* --tools=git_* --password-stdin',
    {
      action: 'add',
      email: 'a@example.com',
      fromStdin: true,
      name: 'Alice',
      roles: ['dev', 'admin'],
      allowedTools: ['time_*', 'git_*'],
    },
  ],
  ['passwd --password-stdin a@example.com', { action: 'passwd', email: 'a@example.com', fromStdin: true }],
  ['remove a@example.com', { action: 'remove', email: 'a@example.com' }],
  ['list', { action: 'list' }],
  ['--help', { action: 'help' }],
  ['add -h', { action: 'help' }],
])('users %s', (text, line) => {
  expect(readUsersLine(text.split(' '))).toEqual(line)
})

test.each([
  '',
  'bogus',
  'add',
  'add a@example.com b@example.com',
  'add not-an-address',
  'add a@example.com --password secret',
  'add a@example.com --name',
  'passwd',
  'passwd a@example.com --role admin',
  'remove',
  'list a@example.com',
])('users %s: the usage and 64', (text) => {
  const read = () => readUsersLine(text === '' ? [] : text.split(' '))
  expect(read).toThrow(expect.objectContaining({ exitCode: 64, message: expect.stringContaining(USAGE) }))
})
