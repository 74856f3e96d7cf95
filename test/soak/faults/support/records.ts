import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createKeys } from '../../../../core/keys.ts'
import { loadSecrets } from '../../../../core/secret.ts'
import { createCodec } from '../../../../core/store/record.ts'
import { fsDriver } from '../../../../plugins/storage-fs/driver.ts'

/** What a data folder holds. */
export interface Records {
  readonly whole: number
  /** Places that hold something nobody can read. */
  readonly damaged: readonly string[]
  /** Files that belong to nothing. */
  readonly litter: readonly string[]
}

/** Namespaces that are not sealed. */
const OPEN = /^(ring|names):/

/** Reads every record, with the folder's own secret. */
export async function readRecords(dataDir: string): Promise<Records> {
  const keys = createKeys(await loadSecrets({ dataDir }))
  const [open, sealed] = [createCodec(undefined), createCodec(keys)]
  const driver = fsDriver(join(dataDir, 'store'))
  const places = await driver.getKeys('', {})
  const damaged: string[] = []
  for (const place of places) {
    const text = await driver.getItem(place, {})
    const record = typeof text === 'string' && (OPEN.test(place) ? open : sealed).decode(place, text)
    if (text !== null && !record) damaged.push(place)
  }
  return { whole: places.length - damaged.length, damaged, litter: litterIn(dataDir) }
}

function litterIn(dataDir: string): readonly string[] {
  const drafts = namesIn(join(dataDir, 'store/.tmp')).map((name) => `store/.tmp/${name}`)
  const groups = namesIn(join(dataDir, 'groups')).map((name) => `groups/${name}`)
  return [...drafts, ...groups, ...namesIn(dataDir)].filter((name) => /\.tmp(\/|$)/.test(name) && name !== '.tmp')
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}
