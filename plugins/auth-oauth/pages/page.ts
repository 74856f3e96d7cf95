import { createHash } from 'node:crypto'
import { STYLE } from './style.ts'

/** Text that is safe to stand in a page. */
export class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Part = string | number | Markup | undefined | false | readonly Markup[]

/** Builds HTML: what is put in is escaped, for text and for quoted attributes alike, unless it is markup itself. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, next, index) => text + textOf(parts[index - 1]) + next))
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return ''
  if (part instanceof Markup) return part.text
  if (typeof part === 'string' || typeof part === 'number') return escape(String(part))
  return part.map(textOf).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
}

/** As one piece: the hash holds for all that is between the tags, white space too (CSP Level 3, hash-source). */
const STYLE_ELEMENT = new Markup(`<style>${STYLE}</style>`)
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/**
 * What every page carries. No script and nothing from elsewhere; no frame around it (clickjacking). There is no `form-action`:
 * browsers apply it to the redirects that follow a form too, and those go to clients' own schemes.
 */
const HEADERS: ReadonlyArray<readonly [string, string]> = [
  ['content-type', 'text/html; charset=utf-8'],
  [
    'content-security-policy',
    `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src 'none'; base-uri 'none'; frame-ancestors 'none'`,
  ],
  ['x-frame-options', 'DENY'],
  ['x-content-type-options', 'nosniff'],
  // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
  ['referrer-policy', 'same-origin'],
  ['cross-origin-opener-policy', 'same-origin'],
  ['permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
  ['cache-control', 'no-store'],
]

export interface PageOptions {
  readonly title: string
  readonly body: Markup
  readonly status?: number
  /** Further headers, such as cookies. */
  readonly headers?: ReadonlyArray<readonly [string, string]>
}

/** A whole page with the headers that guard it. */
export function page({ title, body, status = 200, headers = [] }: PageOptions): Response {
  const whole = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        ${STYLE_ELEMENT}
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `
  return new Response(whole.text, { status, headers: [...HEADERS, ...headers] as [string, string][] })
}
