import { join } from 'node:path'
import { expect, test } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { pathVariableOf, variableOf } from '../../../core/config/variable.ts'
import { folder, load } from './folder.ts'

const configWith = (env: NodeJS.ProcessEnv) => resolveConfig({}, { rootDir: '/root', typedIn: '/typed', env })

test.each([
  ['value', 'value'],
  ['  value\n', 'value'],
  ['a b', 'a b'],
  ['0', '0'],
  ['', undefined],
  ['  ', undefined],
  [undefined, undefined],
])('%j is read as %j', (value, read) => {
  expect(variableOf(configWith({ MINE: value }), 'MINE')).toBe(read)
})

test.each([
  ['users.json', '/typed/users.json'],
  ['../users.json', '/users.json'],
  [' /etc/users.json ', '/etc/users.json'],
  ['', undefined],
  [undefined, undefined],
])('%j names the file %j', (value, path) => {
  expect(pathVariableOf(configWith({ FILE: value }), 'FILE')).toBe(path)
})

test('they come from .env too, which the environment goes before, and start where the command was typed', async () => {
  const cwd = folder({ '.env': 'MINE=pa$$word\nFILE=users.json\nBOTH=file\n' })
  const config = await load(cwd, { env: { BOTH: 'environment', INIT_CWD: join(cwd, 'inner') } })
  expect(variableOf(config, 'MINE')).toBe('pa$$word')
  expect(variableOf(config, 'BOTH')).toBe('environment')
  expect(pathVariableOf(config, 'FILE')).toBe(join(cwd, 'inner', 'users.json'))
})
