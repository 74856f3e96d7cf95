import { expect, test } from 'vitest'
import { expand } from '../../../core/config/variables.ts'

const scope = {
  env: { A: 'one', EMPTY: '', MCP_INPUT_MY_KEY: 'secret' },
  rootDir: '/root',
  inputs: new Map<string, string>(),
}

test.each([
  ['${A}', 'one'],
  ['${env:A}', 'one'],
  ['x${A}y${A}z', 'xoneyonez'],
  ['${NOPE:-two}', 'two'],
  ['${A:-two}', 'one'],
  ['${EMPTY}', ''],
  ['${EMPTY:-two}', 'two'],
  ['${env:NOPE:-}', ''],
  ['${input:my-key}', 'secret'],
  ['${workspaceFolder}/x', '/root/x'],
  ['$A $ ${} ${1} ${a.b} $${A}', '$A $ ${} ${1} ${a.b} ${A}'],
])('%s becomes %j', (text, expanded) => {
  expect(expand(text, scope)).toEqual({ value: expanded, missing: [] })
})

test('every string at any depth is expanded; keys and other values stay', () => {
  const value = { '${A}': ['${A}', 5, null, { deep: '${A}' }] }
  expect(expand(value, scope).value).toEqual({ '${A}': ['one', 5, null, { deep: 'one' }] })
})

test('a value is not expanded again', () => {
  expect(expand('${A}', { ...scope, env: { A: '${B}', B: 'x' } }).value).toBe('${B}')
})

test('what has no value is named with its place', () => {
  expect(expand({ env: { K: 'a ${NOPE}' }, args: ['${input:x y}'] }, scope)).toEqual({
    value: { env: { K: 'a ${NOPE}' }, args: ['${input:x y}'] },
    missing: [
      { path: ['env', 'K'], reason: '${NOPE} has no value; set NOPE' },
      { path: ['args', 0], reason: '${input:x y} has no value; set MCP_INPUT_X_Y' },
    ],
  })
})
