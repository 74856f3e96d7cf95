import { z } from 'zod'
import { definePlugin, ProxyError, type Plugin } from '../../core/index.ts'
import { SHAPE } from './entry.ts'
import { createUserList } from './list.ts'
import { usersFileOf } from './path.ts'
import { createPolicy } from './policy.ts'
import { readUsersFile } from './read.ts'

export { addUser, readUsers, removeUser, type UserFields } from './edit.ts'
export { normaliseEmail } from './email.ts'
export type { UserEntry } from './entry.ts'
export { usersFileOf } from './path.ts'

const schema = z.strictObject({ file: z.string().min(1).optional() })

export interface AccessUsersOptions {
  /** The list, relative to the main file; default `users.json` in the data folder. `MCP_USERS_PATH` beats it. */
  readonly file?: string | undefined
}

/**
 * Lets in who is listed in users.json, and says which tools and prompts they may use; the file is watched. Without a list
 * nobody is let in. Throws `ERR_PROXY_PLUGIN` for options it does not know.
 */
export default function accessUsers(options: AccessUsersOptions = {}): Plugin {
  const parsed = schema.safeParse(options)
  if (!parsed.success) {
    throw new ProxyError(
      'ERR_PROXY_PLUGIN',
      `access-users: ${z.prettifyError(parsed.error)}; its only option is "file"`,
    )
  }
  const { file } = parsed.data
  return definePlugin({
    name: 'access-users',
    apiVersion: 1,
    options: file === undefined ? {} : { file },
    async setup({ config, logger, watch, signal, permissionsChanged, serving, userLabel }) {
      const path = usersFileOf(config, file)
      const label = (key: string): string => userLabel({ id: key, email: key })
      const list = await createUserList({
        read: () => readUsersFile(path, label),
        // A command only wants to say what it has done.
        logger: serving ? logger : { info: logger.debug, warn: logger.debug, error: logger.debug },
        label,
        onchange: permissionsChanged,
        remedy: `list whom to let in, in ${path}: { "you@example.com": ${SHAPE} }`,
      })
      watch(path, list.touch)
      // What has changed between the first look and the watch.
      list.touch()
      signal.addEventListener('abort', list.close, { once: true })
      return { access: createPolicy(list.current), dispose: list.close }
    },
  })
}
