import type { Awaitable } from '../../core/index.ts'
import { contract, type Runner } from '../contract.ts'
import { answers } from './answers.ts'
import { openBench, type MadeTransport } from './bench.ts'
import { ends } from './ends.ts'
import { parties } from './parties.ts'

export interface TransportContractOptions {
  /** False: it cannot bound the size of a message. */
  readonly limit?: boolean
}

/** What every transport must do, whatever lies under it: connections to the scripted server, in the legacy era. */
export function transportContract(
  runner: Runner,
  name: string,
  make: () => Awaitable<MadeTransport>,
  { limit = true }: TransportContractOptions = {},
): void {
  contract(
    runner,
    `transport contract: ${name}`,
    () => openBench(make),
    (check) => {
      answers(check, limit)
      parties(check)
      ends(check)
    },
  )
}
