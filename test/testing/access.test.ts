import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AuthError, type AccessPolicy, type Permissions, type Principal } from '../../core/index.ts'
import accessUsers from '../../plugins/access-users/index.ts'
import { accessContract, openPlugin } from '../../testing/index.ts'
import { failing } from './recording.ts'

const person = (name: string): Principal => ({ id: name, email: `${name}@example.com`, roles: ['guest'] })
const PEOPLE = { allowed: [person('ada'), person('bob')], refused: [person('eve')] }

accessContract({ describe, test }, 'access-users', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-access-'))
  const write = (tools: string[]) =>
    writeFile(
      join(dataDir, 'users.json'),
      JSON.stringify({ 'ada@example.com': { allowed_tools: tools, roles: ['admin'] }, 'bob@example.com': {} }),
    )
  await write(['time_*'])
  const { contribution, close } = await openPlugin(accessUsers(), { config: { dataDir } })
  const { access } = contribution
  if (access === undefined) throw new Error('access-users fills no slot "access"')
  return {
    policy: access,
    ...PEOPLE,
    change: () => write(['git_*']),
    async dispose() {
      await close()
      await rm(dataDir, { recursive: true })
    },
  }
})

const ALL: Permissions = { allowedTools: ['*'] }
const isIn = ({ id }: Principal) => id === 'ada' || id === 'bob'
const asObject = { ada: ALL, bob: ALL } as Record<string, Permissions | undefined>

const BROKEN: readonly (readonly [what: string, permissions: AccessPolicy['permissions'], found: string])[] = [
  ['everybody let in', () => ALL, 'refuses with undefined, not with a throw'],
  [
    'a refusal that is thrown',
    (principal) => {
      if (isIn(principal)) return ALL
      throw new AuthError(403, 'no')
    },
    'refuses with undefined, not with a throw',
  ],
  [
    'a new object each time',
    (principal) => (isIn(principal) ? { ...ALL } : undefined),
    'is the same object as long as nothing has changed',
  ],
  ['a list that is an object', ({ id }) => asObject[id], 'lets nobody in by a name that every object has'],
  [
    'an address taken for granted',
    ({ email }) => (['ada@example.com', 'bob@example.com'].includes((email as string).trim()) ? ALL : undefined),
    'survives principals with nothing but an id, however long',
  ],
  [
    'one text in place of a list',
    (principal) => (isIn(principal) ? ({ allowedTools: '*' } as never) : undefined),
    'says what somebody may do',
  ],
  [
    'a server asked each time',
    async (principal) => {
      await fetch('http://127.0.0.1:59999/').catch(() => undefined)
      return isIn(principal) ? ALL : undefined
    },
    'answers without network',
  ],
  [
    'roles written into the principal',
    (principal) => {
      Object.assign(principal, { roles: ['admin'] })
      return isIn(principal) ? ALL : undefined
    },
    'leaves the principal as it is',
  ],
]

describe('the access suite', () => {
  test('passes a policy without any of these mistakes', async () => {
    const policy: AccessPolicy = { permissions: (principal) => (isIn(principal) ? ALL : undefined) }
    expect(await failing((runner) => accessContract(runner, 'sound', () => ({ policy, ...PEOPLE })))).toEqual([])
  })

  test.each(BROKEN)('finds %s', async (_, permissions, found) => {
    const made = () => ({ policy: { permissions }, ...PEOPLE })
    expect(await failing((runner) => accessContract(runner, 'broken', made))).toContain(found)
  })

  test('finds a change that is kept quiet', async () => {
    const tools = ['a']
    const mine = { allowedTools: tools }
    const policy: AccessPolicy = { permissions: (principal) => (isIn(principal) ? mine : undefined) }
    const made = () => ({ policy, ...PEOPLE, change: () => void tools.push('b') })
    expect(await failing((runner) => accessContract(runner, 'broken', made))).toEqual([
      'tells a change by another object',
    ])
  })
})
