import { expect, test } from 'vitest'
import { flawOf, hashPassword, isPassword, noPassword } from '../../../plugins/auth-local/password.ts'

const FORM = /^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/

test('a hash says what it was made with, and is another one each time', async () => {
  const [one, two] = await Promise.all([hashPassword('correct horse battery'), hashPassword('correct horse battery')])
  expect(one).toMatch(FORM)
  expect(two).not.toBe(one)
  expect(await isPassword('correct horse battery', one)).toBe(true)
  expect(await isPassword('correct horse battery', two)).toBe(true)
  expect(await isPassword('Correct horse battery', one)).toBe(false)
  expect(await isPassword('', one)).toBe(false)
})

test('what nobody can log in with looks like any other', async () => {
  expect(noPassword()).toMatch(FORM)
  expect(await isPassword('', noPassword())).toBe(false)
})

test('is checked with what the hash was made with, not with what new ones are made with', async () => {
  const lighter = '$scrypt$ln=4,r=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$'
  const { scryptSync } = await import('node:crypto')
  const key = scryptSync('correct horse battery', 'saltsaltsaltsalt', 32, { N: 16, r: 1, p: 1 })
  expect(await isPassword('correct horse battery', lighter + key.toString('base64').replace(/=+$/, ''))).toBe(true)
  await expect(isPassword('correct horse battery', 'plain')).rejects.toThrow('users passwd')
})

test('the same characters are the same password, however they are composed', async () => {
  const hash = await hashPassword('caf\u00E9 caf\u00E9 caf\u00E9')
  expect(await isPassword('cafe\u0301 cafe\u0301 cafe\u0301', hash)).toBe(true)
  // Another character is not: compatibility forms stay apart.
  expect(await isPassword('ﬁfteen characters', await hashPassword('fifteen characters'))).toBe(false)
})

test.each([
  ['eleven char', 'shorter than 12 characters'],
  ['e\u0301'.repeat(11), 'shorter than 12 characters'],
  ['😀'.repeat(11), 'shorter than 12 characters'],
  ['x'.repeat(1025), 'longer than 1024 bytes'],
  ['ü'.repeat(513), 'longer than 1024 bytes'],
  ['twelve chars\n', 'control characters'],
])('%j cannot be a password', (password, flaw) => {
  expect(flawOf(password)).toContain(flaw)
})

test.each(['twelve chars', '😀'.repeat(12), 'x'.repeat(1024), '            '])('%j can be a password', (password) => {
  expect(flawOf(password)).toBeUndefined()
})
