/** How often (ms) to look whether the launcher is still there. */
const STEP = 500

/**
 * Under npm and npx a shell stands between npm and this process, and npm passes SIGTERM to that shell alone: it ends, and
 * this process would go on for ever with nobody knowing. So the loss of that parent counts as SIGTERM. Elsewhere a parent
 * may leave as it likes (`mcp-proxy-server &` in a script).
 */
export function endWithLauncher(env: NodeJS.ProcessEnv): void {
  if (env.npm_lifecycle_event === undefined || process.platform === 'win32') return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, STEP)
  timer.unref()
}
