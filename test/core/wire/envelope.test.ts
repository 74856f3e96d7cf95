import { describe, expect, it } from 'vitest'
import { openEnvelope, withMeta } from '../../../core/wire/envelope.ts'

const key = (name: string) => `io.modelcontextprotocol/${name}`

describe('openEnvelope', () => {
  it('takes out what belongs to the hop and leaves the rest of _meta', () => {
    const params = {
      name: 'x',
      _meta: {
        [key('protocolVersion')]: '2026-07-28',
        [key('clientCapabilities')]: { roots: {} },
        [key('clientInfo')]: { name: 'c' },
        [key('logLevel')]: 'info',
        progressToken: 0,
        traceparent: '00-1',
        'example.com/key': [1],
      },
    }
    expect(openEnvelope(params)).toEqual({
      protocolVersion: '2026-07-28',
      clientCapabilities: { roots: {} },
      clientInfo: { name: 'c' },
      progressToken: 0,
      params: { name: 'x', _meta: { traceparent: '00-1', 'example.com/key': [1] } },
    })
  })

  it('leaves no empty _meta behind, and keeps params without _meta as they are', () => {
    expect(openEnvelope({ a: 1, _meta: { progressToken: 't' } })).toEqual({ progressToken: 't', params: { a: 1 } })
    const params = { a: 1 }
    expect(openEnvelope(params).params).toBe(params)
    expect(openEnvelope(undefined)).toEqual({ params: {} })
    expect(openEnvelope({ _meta: 'odd' })).toEqual({ params: { _meta: 'odd' } })
  })

  it.each([[null], [{}], [true], [['t']]])('takes no progress token %j', (progressToken) => {
    expect(openEnvelope({ _meta: { progressToken } })).toEqual({ params: {} })
  })
})

describe('withMeta', () => {
  it('adds one key and changes nothing', () => {
    const object = { a: 1, _meta: { b: 2 } }
    expect(withMeta(object, 'c', 3)).toEqual({ a: 1, _meta: { b: 2, c: 3 } })
    expect(object).toEqual({ a: 1, _meta: { b: 2 } })
    expect(withMeta({}, 'c', 3)).toEqual({ _meta: { c: 3 } })
  })
})
