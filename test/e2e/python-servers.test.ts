import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { processTable } from '../../core/processes.ts'
import { openProxy, type TestProxy } from '../harness.ts'
import { connectV1, type Json, type V1Client } from './support/v1.ts'

const run = promisify(execFile)

let folder: string
let repository: string
let dataDir: string
let proxy: TestProxy
let client: V1Client

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'mcp-proxy-e2e-')))
  repository = join(folder, 'repository')
  dataDir = join(folder, 'data')
  await makeRepository()
  const env = { UV_PYTHON_DOWNLOADS: 'never' }
  proxy = await openProxy({
    dataDir,
    mcpServers: {
      time: { command: 'uvx', args: ['mcp-server-time@2026.10.19', '--local-timezone', 'UTC'], env },
      git: { command: 'uvx', args: ['mcp-server-git@2026.10.19', '--repository', repository], env },
    },
  })
  client = await connectV1(proxy.url)
  // On a machine's first run uvx downloads the servers and what they need.
}, 180_000)

afterAll(async () => {
  await client?.close()
  await proxy?.close()
  await rm(folder, { recursive: true, force: true })
})

async function makeRepository(): Promise<void> {
  const git = (...args: string[]) => run('git', ['-C', repository, ...args])
  await run('git', ['init', '--quiet', repository])
  await git('config', 'user.name', 'Ada')
  await git('config', 'user.email', 'ada@example.com')
  await writeFile(join(repository, 'note.txt'), 'first\n')
  await git('add', 'note.txt')
  await git('commit', '--quiet', '--message', 'The very first note')
  await writeFile(join(repository, 'new.txt'), 'not yet added\n')
}

const call = async (name: string, args: Json) => {
  const result = await client.ask('tools/call', { name, arguments: args })
  const texts = (result.content as Json[]).map(({ text }) => text)
  return { result, text: texts.join('\n') }
}

test('both are up', () => {
  expect(proxy.kernel.upstreams).toMatchObject([
    { name: 'time', transport: 'stdio', state: 'up', tools: 2 },
    { name: 'git', transport: 'stdio', state: 'up' },
  ])
})

test('mcp-server-time tells the time and converts it', async () => {
  const now = JSON.parse((await call('time_get_current_time', { timezone: 'Asia/Tokyo' })).text)
  expect(now).toMatchObject({ timezone: 'Asia/Tokyo', datetime: expect.stringMatching(/\+09:00$/) })
  const times = { source_timezone: 'Asia/Tokyo', time: '09:30', target_timezone: 'UTC' }
  const converted = JSON.parse((await call('time_convert_time', times)).text)
  expect(converted.target).toMatchObject({ timezone: 'UTC', datetime: expect.stringContaining('T00:30') })
})

test('mcp-server-time answers for a wrong time zone itself', async () => {
  const { result, text } = await call('time_get_current_time', { timezone: 'Moon/Tranquility' })
  expect(result.isError).toBe(true)
  expect(text).toContain('Moon/Tranquility')
})

test('mcp-server-git reads the repository', async () => {
  const status = await call('git_git_status', { repo_path: repository })
  expect(status.text).toContain('new.txt')
  const log = await call('git_git_log', { repo_path: repository, max_count: 5 })
  expect(log.text).toContain('The very first note')
  expect(log.text).toContain('Ada')
})

// Last: it closes the proxy.
test('after the close no process of theirs is left', async () => {
  const groups = await recordedGroups()
  expect(groups.length).toBe(2)
  // uvx stays and has the server as its child.
  for (const group of groups) expect(members(group).length).toBeGreaterThan(1)
  await client.close()
  await proxy.close()
  expect(groups.flatMap(members)).toEqual([])
  expect(await recordedGroups()).toEqual([])
})

const members = (group: number) => processTable.all().filter((each) => each.group === group && !each.zombie)

async function recordedGroups(): Promise<number[]> {
  const records = join(dataDir, 'groups')
  const texts = await Promise.all((await readdir(records)).map((name) => readFile(join(records, name), 'utf8')))
  return texts.map((text) => JSON.parse(text).leader.pid)
}
