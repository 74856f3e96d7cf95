import type { Driver } from 'unstorage'
import type { JsonValue } from './wire/jsonrpc.ts'

/** Fills slot `storage`: an unstorage driver that holds strings, plus what makes single use possible. */
export interface StorageDriver extends Driver {
  /**
   * Sets `key` to `next` (`null`: remove it) if its value is `expected` (`null`: absent); resolves whether it did.
   * Holds across processes where the driver is shared by several. Without it the store serialises in this process only.
   */
  swap?(key: string, expected: string | null, next: string | null): Promise<boolean>
}

export interface PutOptions {
  /** Life in milliseconds; absent: for ever, and `update` leaves the record the end it has. */
  readonly ttl?: number
}

/**
 * Records that survive a restart. A key is `collection:id`; ids are hashed before they reach the driver.
 * Every method rejects `ProxyError` `ERR_PROXY_STORAGE` when the driver fails.
 */
export interface Store {
  get<T extends JsonValue>(key: string): Promise<T | undefined>
  put(key: string, value: JsonValue, options?: PutOptions): Promise<void>
  /** Reads and removes; of many takers of one record exactly one gets it. */
  take<T extends JsonValue>(key: string): Promise<T | undefined>
  /** Compare and swap until it holds: `change` may run several times; `undefined` from it removes the record. */
  update<T extends JsonValue>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    options?: PutOptions,
  ): Promise<T | undefined>
  /** Every live record of a collection. */
  scan<T extends JsonValue>(collection: string): AsyncIterable<readonly [key: string, value: T]>
}
