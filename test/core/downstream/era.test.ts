import { describe, expect, it } from 'vitest'
import { eraOf } from '../../../core/downstream/era.ts'

const envelope = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
const modern = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: envelope } }
const bare = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }

describe('the era of a request', () => {
  it.each([
    ['an envelope decides, whatever the header says', '2025-11-25', modern, 'modern'],
    ['an envelope without header', undefined, modern, 'modern'],
    ['an envelope around initialize', undefined, { ...modern, method: 'initialize' }, 'modern'],
    ['no envelope, no header', undefined, bare, 'legacy'],
    ['a header of a session-based revision', '2025-06-18', bare, 'legacy'],
    ['a header of the stateless revision', '2026-07-28', bare, 'modern'],
    ['a header of a later one', '2027-01-01', bare, 'modern'],
    ['initialize sent with a newer header by mistake', '2026-07-28', initialize, 'legacy'],
    ['a header that is no date', 'zzz', bare, 'legacy'],
    ['a GET with the header', '2026-07-28', undefined, 'modern'],
    ['a GET without', undefined, undefined, 'legacy'],
    ['a batch', undefined, [modern], 'legacy'],
    ['params that are no object', undefined, { ...bare, params: [envelope] }, 'legacy'],
  ] as const)('%s', (_, version, message, era) => {
    expect(eraOf(new Headers(version === undefined ? {} : { 'mcp-protocol-version': version }), message)).toBe(era)
  })
})
