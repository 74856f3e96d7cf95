import type { UserEntry } from '../access-users/index.ts'
import type { Account } from './accounts.ts'

const HEAD = ['e-mail', 'name', 'roles', 'tools', 'password'] as const

/** A line each for everybody on the list or with a password, under a heading. */
export function usersTable(users: ReadonlyMap<string, UserEntry>, accounts: readonly Account[]): string {
  const withPassword = new Set(accounts.map(({ email }) => email))
  const emails = [...new Set([...users.keys(), ...withPassword])].sort()
  if (emails.length === 0) return 'There are no users yet.'
  const rows = [HEAD, ...emails.map((email) => cellsOf(email, users.get(email), withPassword.has(email)))]
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => Array.from(row[column] ?? '').length)))
  const pad = (cell: string, column: number): string =>
    cell + ' '.repeat((widths[column] ?? 0) - Array.from(cell).length)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

function cellsOf(email: string, entry: UserEntry | undefined, hasPassword: boolean): readonly string[] {
  const password = hasPassword ? 'yes' : 'no'
  if (entry === undefined) return [email, '–', '–', 'none: not in users.json', password]
  const { name, roles, allowedTools } = entry
  return [email, clean(name ?? '') || '–', listOf(roles), listOf(allowedTools), password].map(clean)
}

function listOf(items: readonly string[]): string {
  return items.length === 0 ? '–' : items.join(', ')
}

/** Text of a file that people edit: nothing in it may steer the terminal. */
function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
}
