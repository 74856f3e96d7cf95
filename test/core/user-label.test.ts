import { expect, test } from 'vitest'
import { createKeys } from '../../core/keys.ts'
import { createUserLabel, type UserLabel } from '../../core/user-label.ts'

const [young, old] = ['young', 'old'].map((text) => text.repeat(12)) as [string, string]
const labels = (user: 'email' | 'hash', ...secrets: string[]): UserLabel =>
  createUserLabel({ level: 'info', format: 'json', user }, createKeys(secrets.length > 0 ? secrets : [young]))

test('by e-mail, and by id where there is none', () => {
  const label = labels('email')
  expect(label({ id: 'oidc|7', email: 'anna@example.com' })).toBe('anna@example.com')
  expect(label({ id: 'oidc|7' })).toBe('oidc|7')
})

test('by a pseudonym that says nothing, the same wherever the address is known', () => {
  const label = labels('hash')
  const anna = label({ id: 'anna', email: 'anna@example.com' })
  expect(anna).toMatch(/^[\w-]{16}$/)
  expect(label({ id: 'anna@example.com', email: 'anna@example.com' })).toBe(anna)
  expect(label({ id: 'another login of hers', email: 'anna@example.com' })).toBe(anna)
  expect(label({ id: 'anna' })).not.toBe(label({ id: 'bert' }))
})

test('a pseudonym hangs on the active secret', () => {
  const anna = { id: 'anna' }
  expect(labels('hash', young, old)(anna)).toBe(labels('hash', young)(anna))
  expect(labels('hash', old)(anna)).not.toBe(labels('hash', young)(anna))
})
