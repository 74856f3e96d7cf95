import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The examples name this package as others do; here it is the sources.
  resolve: { alias: { 'mcp-proxy-server/plugins': `${import.meta.dirname}/plugins` } },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two workers: many tests start real servers, and a small machine has two cores.
    maxWorkers: 2,
  },
})
