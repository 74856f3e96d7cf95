/** The server that the suites look at: `node server.ts legacy|modern|both [--port 0]`. Ends with its input or SIGTERM. */
import { parseArgs } from 'node:util'
import { FORMS, openFixture } from './fixture/open.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '0' } },
})
const form = FORMS.find((one) => one === positionals[0])
if (form === undefined) throw new Error(`usage: node server.ts ${FORMS.join('|')} [--port 0]`)

const fixture = await openFixture(form, Number(values.port))
console.log(`ready ${fixture.url}`)

let ending = false
const end = () => {
  if (ending) return
  ending = true
  void fixture.close().then(() => process.exit(0))
}
process.stdin.resume().once('end', end)
process.once('SIGTERM', end)
process.once('SIGINT', end)
