import { html, page } from '../auth-oauth/index.ts'

export interface LoginPage {
  /** How the proxy calls itself. */
  readonly name: string
  /** Where one logs in, as the address bar says it. */
  readonly host: string
  readonly attempt: string
  /** What was typed before; never the password. */
  readonly email?: string
  /** Why it has to be tried again. */
  readonly problem?: string
  readonly status?: number
  readonly headers?: ReadonlyArray<readonly [string, string]>
}

/** Asks for e-mail address and password. */
export function loginPage({ name, host, attempt, email, problem, status = 200, headers = [] }: LoginPage): Response {
  const isAgain = email !== undefined && email !== ''
  const body = html`<h1>Log in to ${name}</h1>
    <p>This is the login of <strong>${host}</strong>. After it you go back to the program that asked.</p>
    ${problem !== undefined && html`<p class="bad" id="problem" role="alert">${problem}</p>`}
    <form method="post" action="/login">
      <input type="hidden" name="attempt" value="${attempt}" />
      <label
        >E-mail
        <input
          type="text"
          name="email"
          value="${email ?? ''}"
          inputmode="email"
          autocomplete="username"
          autocapitalize="none"
          spellcheck="false"
          maxlength="320"
          required
          ${!isAgain && html`autofocus`}
          ${problem !== undefined && html`aria-describedby="problem"`}
      /></label>
      <label
        >Password
        <input type="password" name="password" autocomplete="current-password" required ${isAgain && html`autofocus`}
      /></label>
      <div class="actions"><button class="main" type="submit">Log in</button></div>
    </form>`
  return page({ title: `Log in to ${name}`, body, status, headers })
}
