import { createHash, randomUUID } from 'node:crypto'
import { readFile, unlink, writeFile } from 'node:fs/promises'
import { ProxyError, sleep } from '../../core/index.ts'
import { unless } from './unless.ts'

/** Milliseconds. */
export interface LockTimes {
  /** A lock that one process has held this long belongs to a dead one. */
  readonly stale: number
  /** How long to wait for others. */
  readonly patience: number
}

const TIMES: LockTimes = { stale: 5000, patience: 30_000 }

/**
 * Runs `work` while the file `path`, made for that, says that nobody else does; `isHeld` tells whether it still does: a process
 * that slept too long may have been taken for dead. Throws `ERR_PROXY_CONFIG` when others keep it.
 */
export async function withLock<T>(
  path: string,
  work: (isHeld: () => Promise<boolean>) => Promise<T>,
  times: LockTimes = TIMES,
): Promise<T> {
  const token = randomUUID()
  const isHeld = async (): Promise<boolean> => (await holderOf(path)) === token
  await acquire(path, token, times)
  try {
    return await work(isHeld)
  } finally {
    if (await isHeld()) await unless(['ENOENT'], unlink(path))
  }
}

/** How long a lock has been there is told by watching it, not by clocks, which differ between machines. */
async function acquire(path: string, token: string, { stale, patience }: LockTimes): Promise<void> {
  const began = performance.now()
  let holder: string | undefined
  let since = began
  while (!(await create(path, token))) {
    const now = performance.now()
    const holds = await holderOf(path)
    if (holds !== holder) [holder, since] = [holds, now]
    else if (holds !== undefined && now - since >= stale) await takeAway(path, holds)
    if (now - began >= patience) {
      throw new ProxyError(
        'ERR_PROXY_CONFIG',
        `${path} is held by another process; try again, or remove it if there is none`,
      )
    }
    await sleep(5 + Math.random() * 20)
  }
}

async function create(path: string, token: string): Promise<boolean> {
  const made = writeFile(path, token, { flag: 'wx', mode: 0o600 }).then(() => true)
  return (await unless(['EEXIST'], made)) ?? false
}

async function holderOf(path: string): Promise<string | undefined> {
  return unless(['ENOENT'], readFile(path, 'utf8'))
}

/**
 * Only one process at a time may take away a lock of this holder: whoever was late finds another holder. A process that dies in
 * here leaves a lock that people have to remove.
 */
async function takeAway(path: string, holder: string): Promise<void> {
  const claim = `${path}.${createHash('sha256').update(holder).digest('hex').slice(0, 16)}`
  if (!(await create(claim, ''))) return
  try {
    if ((await holderOf(path)) === holder) await unless(['ENOENT'], unlink(path))
  } finally {
    await unlink(claim)
  }
}
