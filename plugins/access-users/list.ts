import type { ConsolaInstance } from 'consola'
import { reasonOf } from '../../core/index.ts'
import { differenceOf, permissionsOf, type PermissionList } from './permissions.ts'
import type { Reading } from './read.ts'

/** From a change of the file until it is read, in ms: whoever writes it shall be done. */
const SETTLE = 1000
/** How long (ms) the last list stays in force after the file has been found missing. */
const GRACE = 5000
/** How often (ms) it is looked for a file that is missing. */
const PERIOD = 1000

export interface UserListOptions {
  readonly read: () => Promise<Reading>
  readonly logger: Pick<ConsolaInstance, 'info' | 'warn' | 'error'>
  /** How a user appears in the log. */
  readonly label: (key: string) => string
  /** Somebody may do less, more or nothing from now on. */
  readonly onchange: () => void
  /** Ends the line that says that nobody is let in: what to do about it. */
  readonly remedy: string
}

/** The list of users, as the file has it now or had it last. */
export interface UserList {
  /** `undefined`: nobody can say who may do what. */
  current(): PermissionList | undefined
  /** The file may have changed. */
  touch(): void
  /** Looks no more. Idempotent. */
  close(): void
}

/** Reads the list, and again whenever it is touched. Never rejects: without a valid file there is no list. */
export async function createUserList(options: UserListOptions): Promise<UserList> {
  const { read, logger, label, onchange, remedy } = options
  /** The last valid list; kept while it is not in force, so that who has not changed keeps their permissions object. */
  let users: PermissionList = new Map()
  let isInForce = false
  let text: string | undefined
  /** The problem that was told last, so that it is told once. */
  let told: string | undefined
  let missingSince: number | undefined
  let timer: NodeJS.Timeout | undefined
  let hasStarted = false
  let isSettling = false
  let isLooking = false
  let closed = false

  function accept(reading: Reading & { kind: 'valid' }): void {
    const isBack = told !== undefined
    told = undefined
    if (isInForce && reading.text === text) {
      if (isBack) logger.info(`the list of users is valid again: ${users.size} user(s), none changed`)
      return
    }
    const before = users
    const wasInForce = isInForce
    users = permissionsOf(reading.users, before)
    text = reading.text
    isInForce = true
    const { added, removed, changed } = differenceOf(before, users)
    const counts = `${added.length} added, ${changed.length} changed, ${removed.length} removed`
    logger.info(`the list of users has ${users.size} user(s): ${counts}`)
    for (const key of removed) logger.info('user removed', { event: 'user-removed', user: label(key) })
    if (hasStarted && (!wasInForce || added.length + removed.length + changed.length > 0)) onchange()
  }

  function refuse({ text: now, reason }: Reading & { kind: 'invalid' }): void {
    if (told === now) return
    told = now
    const rest = isInForce
      ? `the last valid list stays in force (${users.size} user(s))`
      : 'nobody is let in until it is corrected'
    logger.error(`${reason}; ${rest}`)
  }

  function miss({ reason }: Reading & { kind: 'absent' }): void {
    missingSince ??= performance.now()
    const left = isInForce ? missingSince + GRACE - performance.now() : Number.POSITIVE_INFINITY
    // Not every way of coming back changes what a watch looks at.
    if (!isSettling) schedule(Math.min(PERIOD, Math.max(left, 1)))
    if (left <= 0) {
      isInForce = false
      logger.error(`${reason}; nobody is let in until it is back; ${remedy}`)
      onchange()
    } else if (told !== reason) {
      const soon = `if it is not back within ${Math.ceil(left / 1000)} s, nobody is let in`
      logger.warn(`${reason}; ${isInForce ? soon : `nobody is let in; ${remedy}`}`)
    }
    told = reason
  }

  async function look(): Promise<void> {
    const reading = await read()
    if (closed) return
    if (reading.kind === 'absent') return miss(reading)
    missingSince = undefined
    if (reading.kind === 'invalid') refuse(reading)
    else accept(reading)
  }

  async function lookInTurn(): Promise<void> {
    isSettling = false
    if (isLooking) return touch()
    isLooking = true
    try {
      await look()
    } catch (error) {
      logger.error(`the list of users was not taken over in full: ${reasonOf(error)}`)
    } finally {
      isLooking = false
    }
  }

  /** Changes that come while one settles are settled with it: a file that changes all the time is read all the same. */
  function touch(): void {
    if (isSettling || closed) return
    isSettling = true
    schedule(SETTLE)
  }

  function schedule(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => void lookInTurn(), ms).unref()
  }

  await look()
  hasStarted = true
  return {
    current: () => (isInForce ? users : undefined),
    touch,
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
