#!/usr/bin/env node
import { fileURLToPath } from 'node:url'
import { main } from './cli/main.ts'

// Whoever read our output may be gone (`… | head`, a closed terminal): no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

const code = await main({ file: fileURLToPath(import.meta.url), argv: process.argv.slice(2) })
// Explicitly: a timer or socket that somebody forgot must not keep an ended proxy alive. Standard output first.
process.stdout.write('', () => process.exit(code))
