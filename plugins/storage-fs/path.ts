import { join } from 'node:path'

/** Folder for what is not yet in place; no encoded name holds a dot. */
export const DRAFTS = '.tmp'
/** Ends the folder of a key, so that key `a` and the keys below `a:` get along. */
const KEY_END = '.rec'
/** Longest encoded part of a key in bytes; file systems end at 255. */
const LONGEST = 240

/**
 * The folder of a driver key below `dir`: one folder per part (`:` parts them), in characters that every file system keeps
 * apart, upper and lower case included. Throws where a part is too long for a file name.
 */
export function pathOf(dir: string, key: string): string {
  return join(dir, ...key.split(':').map(encode)) + KEY_END
}

/** The folder that holds all keys below `base`. */
export function folderOf(dir: string, base: string): string {
  return join(dir, ...base.replace(/:$/, '').split(':').filter(Boolean).map(encode))
}

/** The last part of a key, read back from its folder's name; `undefined` for any other folder. */
export function partOf(folderName: string): string | undefined {
  return folderName.endsWith(KEY_END) ? decode(folderName.slice(0, -KEY_END.length)) : undefined
}

/** A folder's name as part of a key; `undefined` when it is none of ours. */
export function decode(name: string): string | undefined {
  if (name === '%') return ''
  if (!/^(?:[a-z0-9_-]|%[0-9a-f]{2})+$/.test(name)) return undefined
  const bytes = name.replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

function encode(part: string): string {
  const encoded = Buffer.from(part, 'utf8')
    .toString('latin1')
    .replaceAll(/[^a-z0-9_-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
  if (encoded.length > LONGEST) throw new Error(`key part of ${part.length} characters is too long for a file name`)
  return encoded === '' ? '%' : encoded
}
