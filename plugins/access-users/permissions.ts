import type { Permissions } from '../../core/index.ts'
import type { UserEntry } from './entry.ts'
import type { Users } from './file.ts'

/** What everybody who is listed may do, by `sub:…` or normalised e-mail address. */
export type PermissionList = ReadonlyMap<string, Permissions>

/** The permissions of a new list; for whom nothing has changed, the same object as `before`: the kernel tells a change by that. */
export function permissionsOf(users: Users, before: PermissionList): PermissionList {
  const after = new Map<string, Permissions>()
  for (const [key, entry] of users) {
    const known = before.get(key)
    after.set(key, known !== undefined && isSame(known, entry) ? known : frozen(entry))
  }
  return after
}

/** Who has come, gone and changed between two lists. */
export function differenceOf(before: PermissionList, after: PermissionList) {
  return {
    added: [...after.keys()].filter((key) => !before.has(key)),
    removed: [...before.keys()].filter((key) => !after.has(key)),
    changed: [...after].flatMap(([key, now]) => (before.has(key) && before.get(key) !== now ? [key] : [])),
  }
}

function frozen({ allowedTools, roles }: UserEntry): Permissions {
  return Object.freeze({ allowedTools: Object.freeze([...allowedTools]), roles: Object.freeze([...roles]) })
}

function isSame({ allowedTools, roles = [] }: Permissions, entry: UserEntry): boolean {
  return isEqual(allowedTools, entry.allowedTools) && isEqual(roles, entry.roles)
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index])
}
