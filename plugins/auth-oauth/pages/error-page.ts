import { html, page } from './page.ts'

/** Says in a page that something cannot go on, where no client may be redirected to. `what`: fixed text of ours. */
export function errorPage(status: number, title: string, what: string, headers: Record<string, string> = {}): Response {
  const body = html`<h1>${title}</h1>
    <p>${what}</p>
    <p class="quiet">Nothing was connected. You can close this page.</p>`
  return page({ title, body, status, headers: Object.entries(headers) })
}
