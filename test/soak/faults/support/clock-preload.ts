/**
 * Loaded before a program (`NODE_OPTIONS=--import …`): its clock is ahead of the real one by what the file named in
 * `SOAK_CLOCK_FILE` says, in ms, also while it runs. Timers and `performance` stay as they are, as when somebody sets a clock.
 */
import { readFileSync } from 'node:fs'

/** How often (ms) the file is looked at. */
const PERIOD = 20

const RealDate = Date
let ahead = 0

function look(): void {
  ahead = Number(readFileSync(process.env.SOAK_CLOCK_FILE ?? '', 'utf8'))
}

const now = (): number => RealDate.now() + ahead

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
  apply: (target) => new target(now()).toString(),
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
})
look()
setInterval(look, PERIOD).unref()
