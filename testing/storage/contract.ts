import { randomBytes } from 'node:crypto'
import type { Awaitable } from '../../core/index.ts'
import { createKeys } from '../../core/keys.ts'
import { contract, type Runner } from '../contract.ts'
import { openBench, type MadeStorage } from './bench.ts'
import { damage } from './damage.ts'
import { ends } from './ends.ts'
import { records } from './records.ts'
import { rivals } from './rivals.ts'

/** What every driver for slot `storage` must hold, seen through the store that sits on it, with and without encryption. */
export function storageContract(runner: Runner, name: string, make: () => Awaitable<MadeStorage>): void {
  const kinds = { plain: undefined, sealed: createKeys([randomBytes(32).toString('base64url')]) }
  for (const [kind, keys] of Object.entries(kinds)) {
    contract(
      runner,
      `storage contract: ${name}, ${kind}`,
      () => openBench(make, keys),
      (check) => {
        records(check)
        ends(check)
        rivals(check)
        damage(check)
      },
    )
  }
}
