import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dispose, folder, freePort, run } from '../../fixtures/cli/run.ts'
import { ROOT } from '../../harness.ts'
import { lacksChromium, NEEDS_CHROMIUM, openChromium } from '../support/chromium.ts'
import { openLoginProxy, PLACES, type LoginProxy } from '../support/login-proxy.ts'

const LAUNCHER = join(ROOT, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')

describe.skipIf(lacksChromium).each(PLACES)(
  `the web page of the Inspector, people log in at %s (${NEEDS_CHROMIUM})`,
  (place) => {
    let proxy: LoginProxy
    let browser: Browser

    beforeAll(async () => {
      proxy = await openLoginProxy(place)
      browser = await openChromium()
    })
    afterAll(async () => {
      await browser?.close()
      await dispose()
      await proxy?.close()
    })

    test.each(['legacy', 'modern'])('connects after a login in the same browser (%s era)', async (era) => {
      const home = await folder()
      const args = ['--web', '--server-url', proxy.url, '--transport', 'http', '--protocol-era', era]
      const port = String(await freePort())
      const env = {
        HOME: home,
        CLIENT_PORT: port,
        BROWSER: 'true',
        MCP_AUTO_OPEN_ENABLED: 'false',
        MCP_INSPECTOR_SECRET_STORE: 'memory',
      }
      const inspector = run(LAUNCHER, args, { cwd: home, env })
      const [address] = await inspector.until(/http:\/\/\S+MCP_INSPECTOR_API_TOKEN=\w+/)

      const page = await (await browser.newContext()).newPage()
      await page.goto(address)
      // The switch itself is covered by its drawing.
      await page.getByRole('switch').first().click({ force: true })
      await page.getByRole('button', { name: 'Allow and log in' }).click()
      await proxy.fillIn(page)
      await page.getByText('Connected', { exact: true }).waitFor()
      await page.getByText('Tools', { exact: true }).first().click()
      await page.getByText('everything_echo').first().waitFor()
      expect(new URL(page.url()).port).toBe(port)
      await page.context().close()
      inspector.child.kill('SIGTERM')
      await inspector.ended
    })
  },
)
