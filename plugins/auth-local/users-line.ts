import { parseArgs } from 'node:util'
import { EXIT, reasonOf } from '../../core/index.ts'
import { normaliseEmail } from '../access-users/index.ts'
import { Stop } from './stop.ts'

export const USAGE = `Usage: mcp-proxy-server users <action>

  users add <email> [--name <name>] [--role <role>]… [--tools <glob>]… [--password-stdin]
  users passwd <email> [--password-stdin]     a new password; ends the logins made with the old one
  users list
  users remove <email>

The password is asked for on the terminal; with --password-stdin it is the first line of standard input.`

/** Where the password comes from. */
export interface PasswordLine {
  readonly email: string
  readonly fromStdin: boolean
}

export interface AddLine extends PasswordLine {
  readonly name?: string
  readonly roles?: readonly string[]
  readonly allowedTools?: readonly string[]
}

/** What was typed behind `users`. */
export type UsersLine =
  | ({ readonly action: 'add' } & AddLine)
  | ({ readonly action: 'passwd' } & PasswordLine)
  | { readonly action: 'remove'; readonly email: string }
  | { readonly action: 'list' }
  | { readonly action: 'help' }

const PASSWORD = { 'password-stdin': { type: 'boolean' } } as const
const OPTIONS = {
  add: {
    ...PASSWORD,
    name: { type: 'string' },
    role: { type: 'string', multiple: true },
    tools: { type: 'string', multiple: true },
  },
  passwd: PASSWORD,
  remove: {},
  list: {},
} as const

/** Throws `Stop` with the usage for what makes no sense. */
export function readUsersLine([action, ...args]: readonly string[]): UsersLine {
  if ([action, ...args].some((arg) => arg === '--help' || arg === '-h')) return { action: 'help' }
  try {
    switch (action) {
      case 'add': {
        const { values, positionals } = parseArgs({ args, options: OPTIONS.add, allowPositionals: true })
        return {
          action,
          email: emailOf(positionals),
          fromStdin: values['password-stdin'] ?? false,
          ...(values.name !== undefined && { name: values.name }),
          ...(values.role !== undefined && { roles: values.role }),
          ...(values.tools !== undefined && { allowedTools: values.tools }),
        }
      }
      case 'passwd': {
        const { values, positionals } = parseArgs({ args, options: OPTIONS.passwd, allowPositionals: true })
        return { action, email: emailOf(positionals), fromStdin: values['password-stdin'] ?? false }
      }
      case 'remove': {
        const { positionals } = parseArgs({ args, options: OPTIONS.remove, allowPositionals: true })
        return { action, email: emailOf(positionals) }
      }
      case 'list':
        parseArgs({ args, options: OPTIONS.list })
        return { action }
      default:
        throw new TypeError(action === undefined ? 'No action was given.' : `There is no action "${action}".`)
    }
  } catch (error) {
    throw new Stop(EXIT.usage, `${reasonOf(error)}\n\n${USAGE}`)
  }
}

function emailOf([text, ...more]: readonly string[]): string {
  if (text === undefined) throw new TypeError('The e-mail address is missing.')
  if (more.length > 0) throw new TypeError('One e-mail address at a time.')
  const email = normaliseEmail(text)
  if (email === undefined) throw new TypeError(`"${text}" is no e-mail address.`)
  return email
}
