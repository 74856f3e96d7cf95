import { describe, expect, test } from 'vitest'
import { asMessage } from '../../../core/wire/jsonrpc.ts'

describe('an id', () => {
  test.each([
    ['request', { method: 'ping' }],
    ['result', { result: {} }],
    ['error', { error: { code: 1, message: 'm' } }],
  ])('of a %s is 1 KiB at most', (_kind, rest) => {
    const of = (id: string) => asMessage({ jsonrpc: '2.0', id, ...rest })
    expect(of('x'.repeat(1024))).toBeDefined()
    expect(of('x'.repeat(1025))).toBeUndefined()
  })
})
