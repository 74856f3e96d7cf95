import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Plugin } from '../../core/index.ts'
import { ProxyError, definePlugin } from '../../core/index.ts'
import { fsDriver } from './driver.ts'

const schema = z.strictObject({
  /** Folder of the store, relative to the main file; default `store` in the data folder. */
  dir: z.string().min(1).optional(),
})

export type StorageFsOptions = z.input<typeof schema>

/** Keeps the store in files that several processes may use at once. Throws `ERR_PROXY_PLUGIN` for options it does not know. */
export default function storageFs(options: StorageFsOptions = {}): Plugin {
  const parsed = schema.safeParse(options)
  if (!parsed.success) {
    throw new ProxyError('ERR_PROXY_PLUGIN', `storage-fs: ${z.prettifyError(parsed.error)}; its only option is "dir"`)
  }
  const { dir } = parsed.data
  return definePlugin({
    name: 'storage-fs',
    apiVersion: 1,
    options: dir === undefined ? {} : { dir },
    setup({ config }) {
      return { storage: fsDriver(dir === undefined ? join(config.dataDir, 'store') : resolve(config.rootDir, dir)) }
    },
  })
}
