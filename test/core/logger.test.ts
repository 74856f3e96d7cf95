import { expect, test } from 'vitest'
import { createLogger } from '../../core/logger.ts'
import type { LoggerOptions } from '../../core/logger.ts'

function logger(options: Omit<LoggerOptions, 'stream'>) {
  const written: string[] = []
  const stream = { isTTY: false, write: (text: string | Uint8Array) => written.push(String(text)) > 0 }
  return { log: createLogger({ ...options, stream }), written, records: () => written.map((line) => JSON.parse(line)) }
}

test('json: one object per line, with tag and fields', () => {
  const { log, written, records } = logger({ level: 'info', format: 'json' })
  log.withTag('upstream').withTag('time').warn('gone', { code: 1 })
  log.info({ message: 'here', tools: 3 })
  expect(written.every((line) => line.endsWith('}\n'))).toBe(true)
  expect(records()).toEqual([
    { time: expect.stringMatching(/^\d{4}-.*Z$/), level: 'warn', tag: 'upstream:time', message: 'gone', code: 1 },
    { time: expect.any(String), level: 'info', message: 'here', tools: 3 },
  ])
})

test('fields cannot stand in for time, level or message', () => {
  const { log, records } = logger({ level: 'info', format: 'json' })
  log.error('true', { level: 'info', message: 'forged', time: 'never' })
  expect(records()[0]).toMatchObject({ level: 'error', message: 'true' })
  expect(records()[0].time).not.toBe('never')
})

test.each(['json', 'pretty'] as const)(
  '%s: control characters never break the line or reach the terminal',
  (format) => {
    const { log, written } = logger({ level: 'debug', format })
    const nasty = 'a\nb\rc\u001b[31md\u2028e\u009bf\u0000g\u202eh'
    log.withTag(nasty).error(nasty, { [nasty]: nasty })
    expect(written).toHaveLength(1)
    // oxlint-disable-next-line no-control-regex
    expect(written[0]).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/)
    expect(written[0]?.indexOf('\n')).toBe(written[0]!.length - 1)
  },
)

test('levels: what is below is not written', () => {
  const counts = (['error', 'warn', 'info', 'debug', 'trace'] as const).map((level) => {
    const { log, written } = logger({ level, format: 'pretty' })
    log.error('x')
    log.warn('x')
    log.info('x')
    log.debug('x')
    log.trace('x')
    return written.length
  })
  expect(counts).toEqual([1, 2, 3, 4, 5])
})

test('errors give their message and causes, the stack only at debug', () => {
  const error = new Error('no config', { cause: new Error('disk on fire') })
  const quiet = logger({ level: 'info', format: 'json' })
  quiet.log.error('start failed', error)
  expect(quiet.records()).toEqual([
    { time: expect.any(String), level: 'error', message: 'start failed: no config: disk on fire' },
  ])
  const loud = logger({ level: 'debug', format: 'json' })
  loud.log.error(error)
  expect(loud.records()[0].stack).toContain('logger.test.ts')
  const pretty = logger({ level: 'debug', format: 'pretty' })
  pretty.log.error(error)
  expect(pretty.written.length).toBeGreaterThan(1)
  expect(pretty.written[1]).toMatch(/^ {4}at /)
})

test('an error whose message is in the text already is not repeated', () => {
  const { log, records } = logger({ level: 'info', format: 'json' })
  log.error('POST failed: disk on fire', new Error('disk on fire'))
  expect(records()[0].message).toBe('POST failed: disk on fire')
})

test('what JSON cannot write is shown as text instead of thrown', () => {
  const { log, records } = logger({ level: 'info', format: 'json' })
  const circle: Record<string, unknown> = { big: 1n }
  circle.self = circle
  log.info('round', circle)
  expect(records()[0]).toMatchObject({ message: 'round', fields: expect.stringContaining('1n') })
})

test('the same message again and again is written every time', () => {
  const { log, written } = logger({ level: 'info', format: 'json' })
  for (let i = 0; i < 20; i++) log.info('again')
  expect(written).toHaveLength(20)
})
