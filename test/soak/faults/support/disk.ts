import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Scene } from '../../scenario.ts'
import { NotPermitted, refusalOf } from './permission.ts'

/** A small disk of its own, in memory. */
export interface Disk {
  readonly path: string
  /** Leaves no room, also where some is made, until the result is called, which may be done twice. */
  fill(): () => void
  setReadOnly(isReadOnly: boolean): void
}

/** How often (ms) room that was made is taken again. */
const PERIOD = 3

/** Mounts a disk of `size` bytes at a new folder; the scene takes it away. Throws `NotPermitted`. */
export function mountDisk(scene: Scene, path: string, size = 4 * 1024 * 1024): Disk {
  mkdirSync(path, { recursive: true })
  const mounted = refusalOf('mount', '-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'tmpfs', path)
  if (mounted !== undefined) throw new NotPermitted(`not run: mounting is not permitted here (${mounted})`)
  scene.defer(() => refusalOf('umount', path) === undefined || refusalOf('umount', '-l', path))
  return {
    path,
    fill: () => fill(join(path, 'ballast')),
    setReadOnly(isReadOnly) {
      const failed = refusalOf('mount', '-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path)
      if (failed !== undefined) throw new Error(`${path} could not be mounted anew: ${failed}`)
    },
  }
}

function fill(path: string): () => void {
  const file = openSync(path, 'w')
  const press = (): void => {
    for (const size of [65_536, 4096, 1]) while (append(file, size));
  }
  press()
  const timer = setInterval(press, PERIOD)
  let isFree = false
  return () => {
    if (isFree) return
    isFree = true
    clearInterval(timer)
    closeSync(file)
    rmSync(path)
  }
}

function append(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size)) === size
  } catch {
    return false
  }
}
