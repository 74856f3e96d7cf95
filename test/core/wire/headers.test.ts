import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeHeaderValue, mirroredName } from '../../../core/wire/headers.ts'

describe('decodeHeaderValue', () => {
  it('undoes the sentinel for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodeHeaderValue(`=?base64?${Buffer.from(text).toString('base64')}?=`)).toBe(text)
      }),
    )
  })

  it.each(['plain', '', '=?base64?', '=?base64?=', '=?BASE64?YQ==?=', ' =?base64?YQ==?=', '=?base64?YQ==?= x'])(
    'leaves %j as it is',
    (value) => expect(decodeHeaderValue(value)).toBe(value),
  )

  it.each(['%%', 'YQ', 'YQ=', 'YQ===', 'YR==', 'Y Q==', 'YQ==\t', '_-8=', '4pyT ', '/w==', '7aCA', '='])(
    'takes no sentinel around %j, which is not the base64 of a text',
    (payload) => expect(decodeHeaderValue(`=?base64?${payload}?=`)).toBeUndefined(),
  )

  it('takes the sentinel around an empty text', () => {
    expect(decodeHeaderValue('=?base64??=')).toBe('')
  })
})

describe('mirroredName', () => {
  it.each([
    ['tools/call', { name: 'x' }, 'x'],
    ['prompts/get', { name: 'x' }, 'x'],
    ['resources/read', { uri: 'x://y' }, 'x://y'],
    ['tools/list', { name: 'x' }, undefined],
    ['tools/call', { name: 7 }, undefined],
    ['tools/call', {}, undefined],
    ['constructor', { name: 'x' }, undefined],
    ['__proto__', { name: 'x' }, undefined],
  ])('%s %j: %s', (method, params, name) => expect(mirroredName(method, params)).toBe(name))
})
