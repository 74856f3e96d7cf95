// The servers behind the endpoint. Outside this repository: import { defineConfig } from 'mcp-proxy-server'
import { defineConfig } from './core/index.ts'

export default defineConfig({
  mcpServers: {
    everything: { command: 'node', args: ['node_modules/@modelcontextprotocol/server-everything/dist/index.js'] },
    // Reads and writes files below ./data only.
    filesystem: {
      command: 'node',
      args: ['node_modules/@modelcontextprotocol/server-filesystem/dist/index.js', 'data'],
    },
    memory: { command: 'node', args: ['node_modules/@modelcontextprotocol/server-memory/dist/index.js'] },
  },
})
