import { LOG_LEVELS, type LogLevel } from '../gateway/call.ts'
import type { JsonValue, RpcNotification } from '../wire/jsonrpc.ts'

const SEVERITY: ReadonlyMap<unknown, number> = new Map(LOG_LEVELS.map((level, severity) => [level, severity]))

/** A log level by its name; `undefined` when it is none. */
export function readLevel(value: JsonValue | undefined): LogLevel | undefined {
  return LOG_LEVELS.find((level) => level === value)
}

/** Whether a `notifications/message` is at least this severe. */
export function isAtLeast(least: LogLevel, message: RpcNotification): boolean {
  return (SEVERITY.get(message.params?.level) ?? -1) >= (SEVERITY.get(least) ?? 0)
}
