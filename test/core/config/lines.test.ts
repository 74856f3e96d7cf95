import { expect, test } from 'vitest'
import { scriptSource } from '../../../core/config/source.ts'

const TEXT = `import { defineConfig } from 'x' // { port: 1 }
type Time = { command: string }
const shared = {
  lonely: { command: 'x' },
}
/* mcpServers: {
   time: 1 } */
export default defineConfig({
  "port": 8080, mcpServers: {
    other: { env: { time: 'mcpServers: { time', command: \`
      time: { command: \` } },
    'time': {
      command: 'x',
      args: ['--a', { b: 1 }],
    },
    ...shared,
  },
})
`

test.each([
  [['port'], 9],
  [['mcpServers', 'time'], 12],
  [['mcpServers', 'time', 'command'], 13],
  [['mcpServers', 'time', 'args', 1], 14],
  [['mcpServers', 'other', 'env', 'command'], 10],
  [['mcpServers', 'lonely'], 4],
  [['mcpServers', 'time', 'nothing'], 12],
  [['nowhere'], undefined],
])('%j is on line %s', (path, line) => {
  expect(scriptSource('f', TEXT).line(path as string[])).toBe(line)
})
