import { EXIT, isProxyError, type Command, type ResolvedConfig } from '../../core/index.ts'
import { usersFileOf } from '../access-users/index.ts'
import type { Accounts } from './accounts.ts'
import { askPassword } from './ask-password.ts'
import { Stop } from './stop.ts'
import { readUsersLine, USAGE, type UsersLine } from './users-line.ts'
import { addUserAccount, changePassword, listUsers, removeUserAccount, type People } from './users-actions.ts'

/** `users …`: who may log in. Works on the store and users.json, which a running proxy reads anew by itself. */
export function usersCommand(config: ResolvedConfig, accounts: Accounts): Command {
  const people: People = { accounts, file: usersFileOf(config, fileOption(config)), askPassword }

  return {
    name: 'users',
    description: 'add, list and remove people who log in with a password',
    async run(args) {
      const say = (stream: NodeJS.WriteStream, text: string): void => void stream.write(`${text}\n`)
      try {
        const line = readUsersLine(args)
        say(process.stdout, line.action === 'help' ? USAGE : await carryOut(line, people))
        return EXIT.ok
      } catch (error) {
        if (error instanceof Stop) {
          if (error.message !== '') say(process.stderr, error.message)
          return error.exitCode
        }
        if (!isProxyError(error)) throw error
        say(process.stderr, `mcp-proxy-server: ${error.message}`)
        return EXIT.failed
      }
    },
  }
}

function carryOut(line: Exclude<UsersLine, { action: 'help' }>, people: People): Promise<string> {
  switch (line.action) {
    case 'add':
      return addUserAccount(people, line)
    case 'passwd':
      return changePassword(people, line)
    case 'remove':
      return removeUserAccount(people, line.email)
    case 'list':
      return listUsers(people)
  }
}

/** The option `file` of access-users, where it is loaded with one. */
function fileOption({ plugins }: ResolvedConfig): string | undefined {
  for (const spec of plugins) {
    if (typeof spec === 'string') continue
    const [name, options] = 'setup' in spec ? [spec.name, spec.options] : spec
    if (name !== 'access-users') continue
    const { file } = (options ?? {}) as { readonly file?: unknown }
    return typeof file === 'string' ? file : undefined
  }
  return undefined
}
