import { expect, test } from 'vitest'
import { createTries } from '../../../plugins/auth-local/tries.ts'

const MINUTE = 60_000

/** How many tries in a row are let through, 100 at most. */
function run(take: () => number): number {
  let passed = 0
  while (passed < 100 && take() === 0) passed++
  return passed
}

test('one address has ten tries for one user, then two a minute', () => {
  let now = 0
  const tries = createTries(() => now)
  expect(run(() => tries.take('alice', '203.0.113.1'))).toBe(10)
  expect(tries.take('alice', '203.0.113.1')).toBe(30)
  now = MINUTE
  expect(run(() => tries.take('alice', '203.0.113.1'))).toBe(2)
  expect(run(() => tries.take('bob', '203.0.113.1'))).toBe(10)
  expect(run(() => tries.take('alice', '203.0.113.2'))).toBe(10)
})

test('all addresses together have fifty tries for one user, then five a minute', () => {
  let now = 0
  let address = 0
  const tries = createTries(() => now)
  expect(run(() => tries.take('alice', `203.0.113.${address++}`))).toBe(50)
  expect(tries.take('alice', 'new')).toBe(12)
  expect(tries.take('bob', 'new')).toBe(0)
  now = MINUTE
  expect(run(() => tries.take('alice', `198.51.100.${address++}`))).toBe(5)
})

test('one address alone keeps nobody out', () => {
  const tries = createTries(() => 0)
  for (let tried = 0; tried < 1000; tried++) tries.take('alice', '203.0.113.1')
  expect(tries.take('alice', '203.0.113.2')).toBe(0)
})

test('a right password is no guess: who logs in often is not held back, and gains nothing for others', () => {
  const tries = createTries(() => 0)
  for (let logins = 0; logins < 200; logins++) {
    expect(tries.take('alice', '203.0.113.1')).toBe(0)
    tries.give('alice', '203.0.113.1')
  }
  expect(run(() => tries.take('alice', '203.0.113.1'))).toBe(10)
  tries.give('bob', '203.0.113.9')
  expect(run(() => tries.take('bob', '203.0.113.9'))).toBe(10)
})
