import { stripVTControlCharacters } from 'node:util'
import { columns } from './text.ts'

/** Lines at the bottom of a terminal that are drawn anew in place. */
export interface Screen {
  draw(lines: readonly string[]): void
  /** Leaves the last drawing where it is. */
  close(): void
}

type Terminal = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'rows' | 'columns'>

/**
 * Draws on `out`. What is written to `log` meanwhile – usually the same terminal – appears above: without that, each
 * line of the log would shift the drawing and the next one would overwrite the wrong lines.
 */
export function openScreen(out: Terminal, log: Terminal): Screen {
  let drawn: readonly string[] = []
  const show = out.write.bind(out) // before `log`, perhaps the same stream, is replaced
  const erase = (): void => void (drawn.length > 0 && show(`\u001B[${heightOf(out, drawn)}A\u001B[J`))
  const paint = (): void => void (drawn.length > 0 && show(`${drawn.join('\n')}\n`))
  const write = log.write
  if (log.isTTY) {
    const above = new Proxy(write, {
      apply(target, _, args) {
        erase()
        const flowing = Reflect.apply(target, log, args)
        paint()
        return flowing
      },
    })
    log.write = above
  }
  return {
    draw(lines) {
      erase()
      drawn = lines
      paint()
    },
    close() {
      if (log.isTTY) log.write = write
      drawn = []
    },
  }
}

/** Whether `lines` can be drawn in place on `out`: what has scrolled off the top cannot be reached again. */
export function fits(out: Terminal, lines: readonly string[]): boolean {
  return out.isTTY && heightOf(out, lines) < (out.rows || 24)
}

/** Rows of the terminal: a line that is too long takes several. */
function heightOf(out: Terminal, lines: readonly string[]): number {
  const width = out.columns || 80
  const rows = lines.map((line) => Math.max(1, Math.ceil(columns(stripVTControlCharacters(line)) / width)))
  return rows.reduce((sum, count) => sum + count, 0)
}
