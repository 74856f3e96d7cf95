import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ROOT } from './harness.ts'

const FOLDER = join(ROOT, '.github/workflows')
const workflows = readdirSync(FOLDER).map((name) => ({ name, text: readFileSync(join(FOLDER, name), 'utf8') }))
const textOf = (name: string): string => workflows.find((workflow) => workflow.name === name)?.text ?? ''

/** The shell script of a step, as the runner gets it. */
function scriptOf(workflow: string, step: string): string {
  const [, indent, body] = new RegExp(`- name: ${step}\\n[^]*?\\n( +)run: \\|\\n([^]*?)(?=\\n *- |\\n\\n|$)`).exec(
    textOf(workflow),
  ) ?? ['', '', '']
  return body.replaceAll(new RegExp(`^${indent}  `, 'gm'), '')
}

describe.each(workflows)('$name', ({ text }) => {
  test('uses actions of a named version, and what there is in the repository', () => {
    const used = [...text.matchAll(/uses: (\S+)/g)].map(([, name]) => name ?? '')
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((name) => !name.startsWith('./') && !/^[\w-]+\/[\w-]+@v\d+$/.test(name))).toEqual([])
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
    for (const [, name = ''] of text.matchAll(/npm run ([\w-]+)/g)) expect(Object.keys(scripts)).toContain(name)
    const files = [...used.filter((name) => name.startsWith('./')), ...(text.match(/\.ci\/[\w.-]+/g) ?? [])]
    expect(files.filter((name) => !existsSync(join(ROOT, name)))).toEqual([])
  })

  test('may read, and more only where it says so', () => {
    expect(text).toMatch(/^permissions:\n {2}contents: read\n/m)
    expect(text).not.toContain('write-all')
    expect(text).not.toContain('pull_request_target')
  })
})

describe('a release', () => {
  let folder: string
  let work: string
  const git = (cwd: string, ...args: string[]): string => execFileSync('git', args, { cwd, encoding: 'utf8' }).trim()
  const env = () => ({
    ...process.env,
    GIT_CONFIG_GLOBAL: join(folder, 'gitconfig'),
    GITHUB_OUTPUT: join(folder, 'output'),
    GITHUB_SHA: git(work, 'rev-parse', 'HEAD'),
    PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
  })
  const sh = (script: string, more: NodeJS.ProcessEnv): string =>
    execFileSync('bash', ['-e', '-c', script], {
      cwd: work,
      env: { ...env(), ...more },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const bump = (event: string, which: string): string =>
    sh(scriptOf('release.yml', 'Raise the version'), { GITHUB_EVENT_NAME: event, BUMP: which })
  const output = (): Promise<string> => readFile(join(folder, 'output'), 'utf8')

  /** A repository with a remote, as the runner has it. */
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-release-'))
    work = join(folder, 'work')
    await mkdir(join(folder, 'bin'))
    await writeFile(join(folder, 'output'), '')
    git(folder, 'init', '--quiet', '--bare', '--initial-branch=main', 'origin.git')
    git(folder, 'clone', '--quiet', 'origin.git', 'work')
    await commit(work, '1.0.0', 'feat: all of it')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function commit(cwd: string, version: string, message: string): Promise<void> {
    await writeFile(join(cwd, 'package.json'), JSON.stringify({ name: 'x', version, message }))
    git(cwd, 'add', '.')
    git(cwd, '-c', 'user.name=x', '-c', 'user.email=x@example.com', 'commit', '--quiet', '-m', message)
    git(cwd, 'push', '--quiet', 'origin', 'HEAD:main')
  }

  test.each([
    ['push', 'patch', '1.0.1'],
    ['workflow_dispatch', 'minor', '1.1.0'],
    ['workflow_dispatch', 'major', '2.0.0'],
  ])('%s, %s: 1.0.0 becomes %s, with a tag; its own commit is not released again', async (event, which, next) => {
    bump(event, which)
    expect(await output()).toBe(`version=${next}\n`)
    const message = git(join(folder, 'origin.git'), 'log', '-1', '--format=%s', `v${next}`)
    expect(git(join(folder, 'origin.git'), 'rev-parse', `v${next}^{commit}`)).toBe(git(work, 'rev-parse', 'HEAD'))
    expect(git(join(folder, 'origin.git'), 'rev-parse', 'main')).toBe(git(work, 'rev-parse', 'HEAD'))
    const guard = /!startsWith\(github\.event\.head_commit\.message \|\| '', '(.+?)'\)/.exec(textOf('release.yml'))?.[1]
    expect(guard).toBeTruthy()
    expect(message.startsWith(guard ?? '?')).toBe(true)
  })

  test('a push that another one has overtaken leaves the release to that one; a release by hand fails', async () => {
    git(folder, 'clone', '--quiet', 'origin.git', 'other')
    await commit(join(folder, 'other'), '1.0.0', 'fix: something more')
    expect(() => bump('workflow_dispatch', 'minor')).toThrow('Command failed')
    git(work, 'tag', '--delete', 'v1.1.0')
    git(work, 'reset', '--quiet', '--hard', 'HEAD^')
    expect(bump('push', 'patch')).toContain('has moved on')
    expect(await output()).toBe('')
    expect(git(join(folder, 'origin.git'), 'tag')).toBe('')
  })

  test('the image gets every tag, for both architectures', async () => {
    const docker = join(folder, 'bin/docker')
    await writeFile(docker, '#!/bin/sh\necho "$@"\n')
    await chmod(docker, 0o755)
    await mkdir(join(work, 'digests'))
    for (const digest of ['aaa', 'bbb']) await writeFile(join(work, 'digests', digest), '')
    const script = scriptOf('image.yml', 'latest, v1.0.x, 1.0, 1, sha-…, main')
    const [created = ''] = sh(script, { VERSION: '1.0.7', GITHUB_REPOSITORY: 'Some/Proxy' }).split('\n')
    const tags = [...created.matchAll(/--tag ghcr\.io\/some\/proxy:(\S+)/g)].map(([, tag]) => tag)
    const sha = `sha-${git(work, 'rev-parse', '--short=7', 'HEAD')}`
    expect(new Set(tags)).toEqual(new Set(['latest', 'v1.0.7', '1.0', '1', sha, 'main']))
    expect(created).toMatch(/ ghcr\.io\/some\/proxy@sha256:aaa ghcr\.io\/some\/proxy@sha256:bbb$/)
    expect([...textOf('image.yml').matchAll(/arch: (\w+)/g)].map(([, arch]) => arch)).toEqual(['amd64', 'arm64'])
  })
})
