import { validateHeaderName, validateHeaderValue } from 'node:http'
import { z } from 'zod'

/** Headers that belong to HTTP itself: set by hand they break requests. */
const RESERVED = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

/** What every transport over HTTP reads of a server entry. */
export const httpSchema = z.object({
  url: z.string().refine(isEndpoint, { error: 'must be an http(s) URL without user and password (use "headers")' }),
  headers: z
    .record(z.string().refine(isHeaderName, { error: 'is no header name that can be set' }), z.string())
    .refine((headers) => Object.values(headers).every(isHeaderValue), {
      error: 'a value has a character that no header may have',
    })
    .optional(),
})

/** Where a server is, and the headers that every request to it carries. */
export type HttpEntry = z.output<typeof httpSchema>

/** The keys of a server entry that this transport reads. */
export const entrySchema = z.object({ type: z.literal('sse'), ...httpSchema.shape })

/** Where an entry leads: origin and path, since a query may hold a key. */
export function describeUrl(url: string | URL): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === ''
}

function isHeaderName(name: string): boolean {
  return !RESERVED.has(name.toLowerCase()) && passes(() => validateHeaderName(name))
}

function isHeaderValue(value: string): boolean {
  return passes(() => validateHeaderValue('x', value))
}

function passes(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
