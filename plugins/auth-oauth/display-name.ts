/** Longest name that is shown, in characters. */
const LONGEST = 128

/**
 * A name that somebody gave themselves, fit to be shown: without line breaks, control, invisible and direction-changing
 * characters, with which it could pass for something else. `undefined` when nothing is left.
 */
export function displayName(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const shown = text
    .slice(0, 16 * LONGEST)
    .normalize('NFC')
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/[\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Default_Ignorable_Code_Point}\u2800]/gu, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  const cut = Array.from(shown).slice(0, LONGEST).join('')
  return cut === '' ? undefined : cut
}
