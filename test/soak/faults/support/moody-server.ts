/**
 * A server with `echo` that is not always willing: `node moody-server.ts flaky <file>` ends at once unless the file is there,
 * `node moody-server.ts stubborn` ends only when it is killed.
 */
import { existsSync } from 'node:fs'

const [, , mood, file = ''] = process.argv
if (mood === 'flaky' && !existsSync(file)) process.exit(3)
if (mood === 'stubborn') {
  process.on('SIGTERM', () => {})
  setInterval(() => {}, 60_000)
  process.exit = (() => {}) as unknown as typeof process.exit
}
process.argv[2] = 'echo'
await import('../../../fixtures/fault-server.ts')
