import { EXIT } from '../../core/index.ts'
import { addUser, readUsers, removeUser } from '../access-users/index.ts'
import type { Accounts } from './accounts.ts'
import { hashPassword } from './password.ts'
import { Stop } from './stop.ts'
import type { AddLine, PasswordLine } from './users-line.ts'
import { usersTable } from './users-table.ts'

/** Where people are kept: their passwords in the store, what they may do in users.json. */
export interface People {
  readonly accounts: Accounts
  readonly file: string
  /** Where a new password comes from. */
  readonly askPassword: (fromStdin: boolean) => Promise<string>
}

/** Resolves what to say. The entry is written first: an account without one is never left behind, and running it again mends the rest. */
export async function addUserAccount({ accounts, file, askPassword }: People, line: AddLine): Promise<string> {
  const { email, fromStdin, name, roles, allowedTools } = line
  const entry = {
    ...(name !== undefined && { name }),
    ...(roles !== undefined && { roles }),
    ...(allowedTools !== undefined && { allowedTools }),
  }
  if ((await accounts.find(email)) !== undefined) {
    if ((await readUsers(file)).has(email)) throw alreadyThere(email)
    await addUser(file, email, entry)
    return `Added to ${file}: ${email}, with the password they already had.`
  }
  const hash = await hashPassword(await askPassword(fromStdin))
  const done = await addUser(file, email, entry)
  if (!(await accounts.create(email, hash))) throw alreadyThere(email)
  return `${email} can log in now (entry ${done} in ${file}).`
}

/** For people who have a password, or are on the list without one. */
export async function changePassword({ accounts, file, askPassword }: People, line: PasswordLine): Promise<string> {
  const { email, fromStdin } = line
  const isKnown = (await accounts.find(email)) !== undefined || (await readUsers(file)).has(email)
  if (!isKnown) {
    throw new Stop(EXIT.failed, `There is no user ${email}; to add them: mcp-proxy-server users add ${email}`)
  }
  const hash = await hashPassword(await askPassword(fromStdin))
  if (await accounts.setPassword(email, hash)) {
    return `${email} has a new password. Logins made with the old one end when they are next refreshed.`
  }
  if (await accounts.create(email, hash)) return `${email} has a password now.`
  throw new Stop(EXIT.failed, `Somebody else has just set a password of ${email}; nothing was changed.`)
}

/** The account goes first: what is left if the rest fails is an entry nobody can log in with. */
export async function removeUserAccount({ accounts, file }: People, email: string): Promise<string> {
  const hadAccount = await accounts.remove(email)
  const hadEntry = await removeUser(file, email)
  if (hadAccount && hadEntry)
    return `Removed: ${email}. Their logins end within a few seconds, or when the proxy starts.`
  if (hadAccount) return `Removed the password of ${email}; there was no entry in ${file}.`
  if (hadEntry) return `Removed ${email} from ${file}; there was no password.`
  throw new Stop(EXIT.failed, `There is no user ${email}.`)
}

/** Everybody who is on the list or has a password. */
export async function listUsers({ accounts, file }: People): Promise<string> {
  return usersTable(await readUsers(file), await accounts.all())
}

function alreadyThere(email: string): Stop {
  return new Stop(EXIT.failed, `${email} is a user already; for a new password: mcp-proxy-server users passwd ${email}`)
}
