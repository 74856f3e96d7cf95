import { ProxyError, reasonOf } from '../errors.ts'
import type { StorageDriver } from '../storage.ts'
import { inTurn } from './turn.ts'

/** A driver as the store sees it: strings or nothing, always a `swap`, every failure an `ERR_PROXY_STORAGE`. */
interface Shelf {
  read(place: string): Promise<string | undefined>
  write(place: string, text: string): Promise<void>
  /** As `StorageDriver.swap`; `undefined` is nothing. */
  swap(place: string, expected: string | undefined, next: string | undefined): Promise<boolean>
  list(prefix: string): Promise<string[]>
}

/** Wraps a driver; one without `swap` gets one that holds within this process. */
export function createShelf(driver: StorageDriver): Shelf {
  const name = driver.name ?? 'storage'

  async function guard<T>(action: string, place: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      const text = `storage ${name}: cannot ${action} "${place}": ${reasonOf(error)}; check its space, permissions or connection`
      throw new ProxyError('ERR_PROXY_STORAGE', text, { cause: error })
    }
  }

  async function read(place: string): Promise<string | undefined> {
    const value = await driver.getItem(place, {})
    if (value === null || value === undefined) return undefined
    // Not what was written: as text it is unreadable, not absent.
    return typeof value === 'string' ? value : JSON.stringify(value)
  }

  async function set(place: string, text: string | undefined): Promise<void> {
    const change = text === undefined ? driver.removeItem : driver.setItem
    if (!change) throw new Error('the driver is read-only')
    // Called on the driver: one that is a class needs its `this`.
    if (text === undefined) await driver.removeItem?.(place, {})
    else await driver.setItem?.(place, text, {})
  }

  async function swapHere(place: string, expected: string | undefined, next: string | undefined): Promise<boolean> {
    if ((await read(place)) !== expected) return false
    await set(place, next)
    return true
  }

  return {
    read: (place) => guard('read', place, () => read(place)),
    write: (place, text) =>
      guard('write', place, () => (driver.swap ? set(place, text) : inTurn(driver, place, () => set(place, text)))),
    swap: (place, expected, next) =>
      guard('change', place, () =>
        driver.swap
          ? driver.swap(place, expected ?? null, next ?? null)
          : inTurn(driver, place, () => swapHere(place, expected, next)),
      ),
    list: (prefix) =>
      // Drivers return keys as paths or with foreign ones among them; `Storage` would clean that up, and spoil the values.
      guard('list', prefix, async () =>
        (await driver.getKeys(prefix, {}))
          .map((key) => key.replaceAll(/[/\\]/g, ':'))
          .filter((key) => key.startsWith(prefix)),
      ),
  }
}
