import { OFFLINE } from '../site.ts'
import { destinationOf } from '../redirect-uri.ts'
import { html, page, type Markup } from './page.ts'

export interface ConsentPage {
  /** How the proxy calls itself. */
  readonly name: string
  readonly clientName?: string | undefined
  /** Where its metadata document is: what is known of it for sure. */
  readonly clientHost?: string | undefined
  readonly redirectUri: string
  readonly resource: string
  readonly scopes: readonly string[]
  /** Fields of the form. */
  readonly authorization: string
  readonly csrf: string
  readonly headers: ReadonlyArray<readonly [string, string]>
}

/** Who is asking, for what, and where the answer goes; then yes or no. */
export function consentPage(options: ConsentPage): Response {
  const { name, clientName, clientHost, redirectUri, resource, scopes, authorization, csrf, headers } = options
  const { host, isLoopback, isWeb } = destinationOf(redirectUri)
  const who = clientName ?? clientHost ?? 'A program without a name'
  const body = html`<h1>“${who}” wants to connect to ${name}</h1>
    <dl>
      <div>
        <dt>Who is asking</dt>
        <dd>${identity(who, clientName, clientHost)}</dd>
      </div>
      <div>
        <dt>Where the answer goes</dt>
        <dd>
          <strong
            >${isLoopback ? `${host} – a program on this computer` : isWeb ? host : `an app on this device (${host})`}</strong
          >
        </dd>
      </div>
      <div>
        <dt>What it may do then</dt>
        <dd>
          <ul>
            <li>Use, in your name, every tool that you may use at ${resource}</li>
            ${scopes.includes(OFFLINE) && html`<li>Stay connected until you or the operator end it</li>`}
          </ul>
        </dd>
      </div>
    </dl>
    <p class="note">${warning(isLoopback, isWeb, host)}</p>
    <form method="post" action="/consent">
      <input type="hidden" name="authorization" value="${authorization}" />
      <input type="hidden" name="csrf" value="${csrf}" />
      <div class="actions">
        <button class="main" type="submit" name="action" value="approve">Allow and log in</button>
        <button type="submit" name="action" value="deny">Deny</button>
      </div>
    </form>`
  return page({ title: `Connect ${who}?`, body, headers })
}

/** Where its document is, is sure; what it calls itself anybody could. */
function identity(who: string, clientName: string | undefined, clientHost: string | undefined): Markup {
  if (clientHost === undefined) return html`${who} <span class="tag">name not verified</span>`
  if (clientName === undefined) return html`<strong>${clientHost}</strong>`
  return html`<strong>${clientHost}</strong>, which calls itself “${clientName}”`
}

function warning(isLoopback: boolean, isWeb: boolean, host: string): string {
  if (isLoopback) return 'Allow this only if you have just started it yourself, from a program on this computer.'
  if (isWeb) return `Allow this only if you have just started it yourself, at ${host}.`
  return 'Allow this only if you have just started it yourself, from an app on this device.'
}
