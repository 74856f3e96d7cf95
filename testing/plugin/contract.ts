import assert from 'node:assert/strict'
import type { Awaitable } from '../../core/index.ts'
import { contract, type Check, type Runner } from '../contract.ts'
import { makePlugin, open, openProxyWith, type MadePlugin } from './bench.ts'
import { life } from './life.ts'
import { options } from './options.ts'
import { keepsSecrets } from '../secrets.ts'
import { checkSlots } from './slots.ts'

/** What every plugin must hold, whatever it adds, in a real kernel. `name`: its own, by which it is loaded. */
export function pluginContract(runner: Runner, name: string, make: () => Awaitable<MadePlugin>): void {
  contract(runner, `plugin contract: ${name}`, make, (check) => {
    shape(check, name)
    options(check)
    life(check)
    discretion(check)
  })
}

function shape(check: Check<MadePlugin>, name: string): void {
  check('its default export makes a plugin of this name, for version 1 of the API', (made) => {
    const plugin = makePlugin(made)
    assert.equal(plugin.name, name)
    assert.equal(plugin.apiVersion, 1, 'apiVersion must be 1: a later proxy can then tell what the plugin was made for')
  })

  check('fills slots that there are, with what belongs there', async (made) => {
    const { contribution, close } = await open(made, makePlugin(made))
    try {
      checkSlots(contribution)
    } finally {
      await close()
    }
  })
}

function discretion(check: Check<MadePlugin>): void {
  check('its secrets do not reach the log', async (made) => {
    const proxy = await openProxyWith(made)
    try {
      await made.exercise?.(proxy)
    } finally {
      await proxy.close()
    }
    keepsSecrets(proxy.log(), made.secrets, 'the log')
  })
}
