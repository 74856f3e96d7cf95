import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { readVariables } from '../../../core/config/env.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

test('the JSON schema is current', async () => {
  // Rejects with the script's own words when it exits with 1.
  const checked = promisify(execFile)(process.execPath, ['scripts/schema.ts', '--check'], { cwd: root })
  await expect(checked).resolves.toMatchObject({ stderr: '' })
})

test('.env.example has every variable that is read, commented out, with a value that is allowed', async () => {
  const text = await readFile(`${root}/.env.example`, 'utf8')
  const documented = new Map(
    [...text.matchAll(/^# ?((?:MCP|AUTH0|OIDC)_[A-Z0-9_<>]+)=(.*)$/gm)].map((match) => [match[1], match[2]]),
  )
  const source = await readFile(`${root}/core/config/env.ts`, 'utf8')
  const read = [...source.matchAll(/^ {4}(MCP_[A-Z_]+):/gm)].map((match) => match[1])
  expect(read.length).toBeGreaterThan(15)
  documented.delete('MCP_INPUT_<ID>')
  // Those of a plugin stand in its own sources.
  const plugins = (await readdir(`${root}/plugins`, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const sources = await Promise.all(plugins.map((file) => readFile(`${root}/plugins/${file}`, 'utf8')))
  const own = [...sources.join('\n').matchAll(/'((?:MCP|AUTH0|OIDC)_[A-Z0-9_]+)'/g)].map((match) => match[1])
  expect(new Set(documented.keys())).toEqual(new Set([...read, ...own]))
  const { MCP_SECRET_FILE: _, ...values } = Object.fromEntries(documented)
  expect(() => readVariables(values)).not.toThrow()
})
