import assert from 'node:assert/strict'
import type { Awaitable } from '../../core/index.ts'
import { contract, type Runner } from '../contract.ts'
import { inTurn, letGo, type MadeStorage } from './bench.ts'

/** What only a driver with a `swap` of its own must hold. */
export function swapContract(runner: Runner, name: string, make: () => Awaitable<MadeStorage>): void {
  contract(
    runner,
    `swap contract: ${name}`,
    () => openDrivers(make),
    (check) => {
      check('sets a value only where the expected one is', async ({ driver }) => {
        assert.equal(await driver.swap?.('k:1', 'x', 'y'), false)
        assert.equal(await driver.swap?.('k:1', null, null), true)
        assert.equal(await driver.swap?.('k:1', null, 'a'), true)
        assert.equal(await driver.swap?.('k:1', null, 'b'), false)
        assert.equal(await driver.swap?.('k:1', 'b', 'c'), false)
        assert.equal(await driver.swap?.('k:1', 'a', 'b'), true)
        assert.equal(await driver.getItem('k:1'), 'b')
        assert.equal(await driver.swap?.('k:1', 'a', null), false)
        assert.equal(await driver.swap?.('k:1', 'b', null), true)
        assert.equal(await driver.getItem('k:1'), null)
        assert.equal(await driver.hasItem('k:1', {}), false)
      })

      check('of many at once exactly one wins', async ({ driver, again = driver }) => {
        const swap = async (turn: number) => inTurn([driver, again], turn).swap?.('k:2', null, String(turn))
        const wins = await Promise.all(Array.from({ length: 20 }, (_, turn) => swap(turn)))
        assert.equal(wins.filter(Boolean).length, 1)
        assert.equal(await driver.getItem('k:2'), String(wins.indexOf(true)))
      })
    },
  )
}

async function openDrivers(make: () => Awaitable<MadeStorage>): Promise<MadeStorage> {
  const made = await make()
  return { ...made, dispose: () => letGo(made) }
}
