import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from '../../harness.ts'
import type { Json } from './v1.ts'

const LAUNCHER = join(ROOT, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')

export interface InspectorRun {
  readonly code: number
  /** What it printed: `{result}` on stdout or `{error}` on stderr. */
  readonly output: Json
}

/** Runs the Inspector's command line once against an endpoint; `home` is where it may keep its files. */
export function inspect(url: string, home: string, ...args: string[]): Promise<InspectorRun> {
  const all = [LAUNCHER, '--cli', url, '--transport', 'http', '--format', 'json', ...args]
  const env = { PATH: process.env.PATH, HOME: home, USERPROFILE: home }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, all, { env, timeout: 20_000, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code
      const text = stdout.trim() === '' ? stderr : stdout
      if (typeof code !== 'number') return reject(new Error(`the inspector did not end by itself: ${stderr}`))
      try {
        resolve({ code, output: JSON.parse(text) as Json })
      } catch {
        reject(new Error(`the inspector said no JSON: ${text}`))
      }
    })
  })
}
