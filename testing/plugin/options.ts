import assert from 'node:assert/strict'
import { reasonOf, type JsonValue } from '../../core/index.ts'
import type { Check } from '../contract.ts'
import { makePlugin, open, type MadePlugin } from './bench.ts'
import { keepsSecrets } from '../secrets.ts'

/** Options: JSON that is taken or refused as a whole. */
export function options(check: Check<MadePlugin>): void {
  check('takes the options it should, and says as JSON with what it was made', async (made) => {
    for (const given of made.accepts ?? []) {
      const plugin = makePlugin(made, given)
      const { options: told } = plugin
      if (!isEmpty(given))
        assert.notEqual(told, undefined, `made with ${JSON.stringify(given)}, it must say so in "options"`)
      if (told !== undefined) assert.deepEqual(JSON.parse(JSON.stringify(told)), told, '"options" must be JSON')
      const { close } = await open(made, plugin)
      await close()
    }
  })

  check('refuses the options it should, and names them', async (made) => {
    for (const given of made.refuses ?? []) {
      const message = await refusalOf(made, given)
      assert.ok(message !== undefined, `${JSON.stringify(given)} was accepted`)
      const keys = typeof given === 'object' && given !== null && !Array.isArray(given) ? Object.keys(given) : []
      const named = keys.length === 0 || keys.some((key) => message.includes(key))
      assert.ok(named, `the error for ${JSON.stringify(given)} names none of its keys: ${message}`)
      keepsSecrets(message, made.secrets, 'the error')
    }
  })
}

/** What a plugin says to options: when it is made, or else when it is set up. */
async function refusalOf(made: MadePlugin, given: JsonValue): Promise<string | undefined> {
  let opened
  try {
    opened = await open(made, makePlugin(made, given))
  } catch (error) {
    return reasonOf(error)
  }
  await opened.close()
  return undefined
}

function isEmpty(value: JsonValue): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
