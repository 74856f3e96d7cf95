import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { createKernel, type Kernel } from '../../../core/kernel.ts'
import { createKeys } from '../../../core/keys.ts'
import { loadSecrets } from '../../../core/secret.ts'
import { createStore } from '../../../core/store.ts'
import { createAccounts, type Accounts } from '../../../plugins/auth-local/accounts.ts'
import { createAttempts, type Attempts } from '../../../plugins/auth-local/attempts.ts'
import { hashPassword } from '../../../plugins/auth-local/password.ts'
import { fsDriver } from '../../../plugins/storage-fs/driver.ts'
import { ORIGIN } from '../../fixtures/oauth/proxy.ts'
import { captureLog, ROOT } from '../../harness.ts'
import { ALICE, clientsOf, PASSWORD, type Clients } from './client.ts'

/** A kernel without a port that logs people in by itself; Alice has a password. */
export interface LocalProxy extends Clients {
  readonly kernel: Kernel
  readonly dataDir: string
  /** What another process sees in the store. */
  readonly accounts: Accounts
  readonly attempts: Attempts
  /** Everything logged so far, at every level. */
  log(): string
  writeUsers(users: object): Promise<void>
  close(): Promise<void>
}

export async function openLocal(): Promise<LocalProxy> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-local-'))
  const writeUsers = (users: object) => writeFile(join(dataDir, 'users.json'), JSON.stringify(users))
  await writeUsers({ [ALICE]: { name: 'Alice', roles: [], allowed_tools: ['*'] } })
  const captured = captureLog()
  const plugins = ['storage-fs', 'access-users', 'auth-local']
  const config = resolveConfig({ baseUrl: ORIGIN, plugins, dataDir }, { rootDir: ROOT, env: {} })
  const kernel = await createKernel(config, { logger: captured.logger })
  const keys = createKeys(await loadSecrets({ dataDir }))
  const store = createStore(fsDriver(join(dataDir, 'store')), { keys, namespace: 'plugin-auth-local' })
  const accounts = createAccounts(store)
  await accounts.create(ALICE, await hashPassword(PASSWORD))
  return {
    ...clientsOf(ORIGIN, from(kernel)),
    kernel,
    dataDir,
    accounts,
    attempts: createAttempts(store),
    log: captured.text,
    writeUsers,
    async close() {
      await kernel.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** `fetch` straight into a kernel, from this address. */
export function from(kernel: Kernel, address?: string): typeof fetch {
  return (input, init) => kernel.fetch(Object.assign(new Request(input, init), address && { ip: address }))
}

/** The text of every file below a folder. */
export async function textsBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'utf8')))
}
