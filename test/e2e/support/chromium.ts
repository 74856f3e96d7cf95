import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'

const PLACES = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Where Chromium is; on a machine without it (`CHROMIUM_PATH`, Debian's package `chromium`) its tests are skipped, in CI they fail. */
const found = PLACES.find((place) => place !== undefined && existsSync(place))

export const lacksChromium = found === undefined && process.env.CI === undefined

/** What the name of a test says that needs it. */
export const NEEDS_CHROMIUM = 'needs Chromium: set CHROMIUM_PATH or install it'

/** A real browser without a window; nothing but this machine is ever looked up. */
export function openChromium(): Promise<Browser> {
  if (found === undefined) throw new Error(NEEDS_CHROMIUM)
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']
  return chromium.launch({
    executablePath: found,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet],
  })
}

/** Keeps a picture of a page where `MCP_TEST_PICTURES` says, for somebody to look at. */
export async function photograph(page: Page, name: string): Promise<void> {
  const folder = process.env.MCP_TEST_PICTURES
  if (folder === undefined) return
  await mkdir(folder, { recursive: true })
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}
