import type { Awaitable } from '../../core/index.ts'
import { contract, type Runner } from '../contract.ts'
import { answers } from './answers.ts'
import type { MadeAuth } from './bench.ts'
import { callers } from './callers.ts'

/** What every provider for slot `auth` must hold. The access policy beside it, where it needs one, has to allow everybody `known`. */
export function authContract(runner: Runner, name: string, make: () => Awaitable<MadeAuth>): void {
  contract(runner, `auth contract: ${name}`, make, (check) => {
    callers(check)
    answers(check)
  })
}
