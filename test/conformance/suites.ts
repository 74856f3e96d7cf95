/** The official suites as this folder has them installed. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Form } from './fixture/open.ts'

/** A release of the suite, or the requirement set of a revision in the newer one. */
export type Suite = '0.1.16' | '2025-11-25' | '2026-07-28'
export type Era = Exclude<Form, 'both'>

export const SUITES: readonly Suite[] = ['0.1.16', '2025-11-25', '2026-07-28']

/** The era that a suite's client speaks. */
export function eraOf(suite: Suite): Era {
  return suite === '2026-07-28' ? 'modern' : 'legacy'
}

const MODULES = join(import.meta.dirname, 'node_modules')
const OLD = join(MODULES, 'conformance-0.1.16/dist/index.js')
const NEW = join(MODULES, '@modelcontextprotocol/conformance/dist/index.js')

/** Whether both releases are there to be run. */
export function areInstalled(): boolean {
  return existsSync(OLD) && existsSync(NEW)
}

/** Arguments of Node that look at the server under `url`, all scenarios of the suite or one. */
export function serverArgs(suite: Suite, url: string, output: string, scenario?: string): string[] {
  // The suites' DNS rebinding scenario takes the name as well as the address.
  const common = ['server', '--url', url.replace('127.0.0.1', 'localhost'), '-o', output]
  if (suite === '0.1.16')
    return [OLD, ...common, ...(scenario === undefined ? ['--suite', 'all'] : ['--scenario', scenario])]
  const which = scenario === undefined ? ['--requirements', suite] : ['--scenario', scenario, '--spec-version', suite]
  return [NEW, ...common, ...which]
}

/** Arguments of Node that have `command` connect to the suite's own server, one scenario at a time. */
export function clientArgs(
  suite: Exclude<Suite, '0.1.16'>,
  command: string,
  output: string,
  scenario: string,
): string[] {
  const which = ['--scenario', scenario, '--spec-version', suite]
  return [NEW, 'client', '--command', command, '-o', output, '--timeout', '40000', ...which]
}

/** Arguments of Node that try an authorization server as a client of it; a person's part is printed as an address to open. */
export function authorizationArgs(issuer: string, client: string, callbackPort: number, output: string): string[] {
  return [NEW, 'authorization', '--url', issuer, '--client-id', client, '-p', String(callbackPort), '-o', output]
}
