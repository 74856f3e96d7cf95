import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseEmail } from '../../../plugins/access-users/index.ts'

const NUL = String.fromCharCode(0)

/** What it shall be: said a second way. */
const folded = (text: string): string => text.normalize('NFC').replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())

describe('normaliseEmail', () => {
  it.each([
    ['User@Example.COM', 'user@example.com'],
    ['ALICE@EXAMPLE.COM', 'alice@example.com'],
    ['alice@localhost', 'alice@localhost'],
    ["o'brien!#$%&*/=?^_`{|}~-x@example.com", "o'brien!#$%&*/=?^_`{|}~-x@example.com"],
    ['alice@bücher.example', 'alice@xn--bcher-kva.example'],
    ['alice@XN--BCHER-KVA.example', 'alice@xn--bcher-kva.example'],
    ['alice@straße.example', 'alice@xn--strae-oqa.example'],
  ])('T75 email case, and domains in punycode: %s', (text, normal) => {
    expect(normaliseEmail(text)).toBe(normal)
  })

  it('T75 a letter with its mark is one letter, however it is written', () => {
    expect(normaliseEmail('josé@example.com')).toBe('josé@example.com')
    expect(normaliseEmail('jose\u0301@example.com')).toBe('josé@example.com')
    expect(normaliseEmail('JOSÉ@example.com')).toBe('josÉ@example.com')
  })

  it.each([
    ['Cyrillic а', 'аlice@example.com'],
    ['ligature', 'ﬁona@example.com'],
    ['Turkish İ', 'alİce@example.com'],
    ['dotless ı', 'alıce@example.com'],
    ['long s', 'ſam@example.com'],
    ['fullwidth letter', 'ａlice@example.com'],
  ])('T76 homoglyphs in the local part stay another address: %s', (_, text) => {
    const normal = normaliseEmail(text)
    expect(normal).toBe(text)
    expect(normal).not.toMatch(/^(?:alice|fiona|sam)@/)
  })

  it.each([
    ['fullwidth ＠', 'alice＠example.com'],
    ['Kelvin sign', '\u212Aim@example.com'],
    ['Kelvin sign in the domain', 'kim@\u212A.example'],
    ['ligature in the domain', 'alice@ﬁrm.example'],
    ['fullwidth letter in the domain', 'alice@ｅxample.com'],
    ['ideographic full stop', 'alice@example。com'],
    ['fullwidth full stop', 'alice@example．com'],
    ['Turkish İ in the domain', 'alice@İstanbul.example'],
    ['escaped letter in the domain', 'alice@ex%61mple.com'],
    ['path after the domain', 'alice@example.com/'],
    ['port', 'alice@example.com:443'],
    ['query', 'alice@example.com?x'],
    ['IP address in brackets', 'alice@[127.0.0.1]'],
    ['trailing dot domain', 'alice@example.com.'],
    ['leading dot domain', 'alice@.example.com'],
    ['empty label', 'alice@example..com'],
    ['underscore in the domain', 'alice@ex_ample.com'],
    ['NUL', `alice${NUL}@example.com`],
    ['NUL at the end', `alice@example.com${NUL}`],
    ['newline at the end', 'alice@example.com\n'],
    ['carriage return', 'alice@example.com\r'],
    ['tab', 'alice\t@example.com'],
    ['space before', ' alice@example.com'],
    ['space after', 'alice@example.com '],
    ['space inside', 'al ice@example.com'],
    ['no-break space', 'alice\u00A0@example.com'],
    ['zero width space', 'ali\u200Bce@example.com'],
    ['soft hyphen in the domain', 'alice@exam\u00ADple.com'],
    ['direction mark', 'alice\u202E@example.com'],
    ['byte order mark', '\uFEFFalice@example.com'],
    ['half a surrogate pair', 'alice\uD800@example.com'],
    ['no @', 'alice.example.com'],
    ['two @', 'alice@example.com@example.com'],
    ['quoted @', '"alice@evil"@example.com'],
    ['nothing before', '@example.com'],
    ['nothing after', 'alice@'],
    ['only @', '@'],
    ['nothing', ''],
    ['two addresses', 'alice@example.com,bert@example.com'],
    ['name and address', 'Alice<alice@example.com>'],
    ['comment', 'alice(x)@example.com'],
    ['prefix of a subject', 'sub:alice@example.com'],
    ['mark that is composed with the small letter only', 'H\u0331@example.com'],
    ['too long', `${'a'.repeat(243)}@example.com`],
    ['too long in punycode', `a@${Array.from({ length: 6 }, () => 'ü'.repeat(40)).join('.')}`],
    ['megabytes', '@'.repeat(5_000_000)],
  ])('T76 is no address: %s', (_, text) => {
    expect(normaliseEmail(text)).toBeUndefined()
  })

  it('takes 254 characters and no more', () => {
    expect(normaliseEmail(`${'a'.repeat(242)}@example.com`)).toHaveLength(254)
    expect(normaliseEmail(`${'a'.repeat(243)}@example.com`)).toBeUndefined()
  })

  it.each([
    [['alice@example.com']],
    [{ toString: () => 'alice@example.com' }],
    [new String('alice@example.com')],
    [42],
    [null],
    [undefined],
    [true],
  ])('T76 is no text: %s', (value) => {
    expect(normaliseEmail(value as never)).toBeUndefined()
  })

  it('T76 no character beyond ASCII becomes one of ASCII, whichever side it is on', () => {
    const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length
    const wrong: string[] = []
    for (let code = 0x80; code <= 0x10_ff_ff; code++) {
      const character = String.fromCodePoint(code)
      // Not assigned, private: the domain's side takes long.
      if (/[\p{Cn}\p{Co}]/u.test(character)) continue
      const local = normaliseEmail(`a${character}b@example.com`)
      if (local !== undefined && isAscii(local)) wrong.push(`local ${code.toString(16)}`)
      const domain = normaliseEmail(`a@b${character}c.example`)
      if (domain !== undefined && !domain.startsWith('a@xn--')) wrong.push(`domain ${code.toString(16)}`)
    }
    expect(wrong).toEqual([])
  }, 120_000)

  it('T77 tags and dots count', () => {
    const written = ['alice@example.com', 'alice+x@example.com', 'a.lice@example.com', 'alice@mail.example.com']
    expect(written.map(normaliseEmail)).toEqual(written)
  })

  const letter = fc.constantFrom(...'aAbBhHkKzZ.+-_@é\u0301\u0331İıſßÜαａﬁ\u212A'.split(''), 'É', '😀', '\uD800')
  const local = fc.oneof(fc.string({ unit: letter, maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 }))
  const domain = fc.oneof(
    fc.constantFrom('example.com', 'EXAMPLE.com', 'bücher.example', 'xn--bcher-kva.example', 'ﬁrm.example'),
    fc.string({ unit: letter, maxLength: 12 }),
  )
  const address = fc.tuple(local, domain).map(([local, domain]) => `${local}@${domain}`)
  const anything = fc.oneof(address, fc.string({ unit: 'binary' }), fc.emailAddress())

  it('is the same the second time', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const normal = normaliseEmail(text)
        expect(normal === undefined ? undefined : normaliseEmail(normal)).toBe(normal)
      }),
      { numRuns: 5000 },
    )
  })

  it('folds A to Z and nothing else of the local part', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const normal = normaliseEmail(text)
        if (normal === undefined) return
        const at = text.indexOf('@')
        expect(normal.slice(0, normal.indexOf('@'))).toBe(folded(text.slice(0, at)))
        expect(normal.slice(normal.indexOf('@') + 1)).toMatch(/^[a-z0-9.-]+$/)
      }),
      { numRuns: 5000 },
    )
  })

  it('makes one of two only where they are one but for A to Z and NFC', () => {
    const variant = fc
      .tuple(local, local, domain, fc.boolean())
      .map(([one, other, domain, upper]) => [`${one}@${domain}`, `${upper ? one.toUpperCase() : other}@${domain}`])
    fc.assert(
      fc.property(variant, ([one = '', other = '']) => {
        const [a, b] = [normaliseEmail(one), normaliseEmail(other)]
        if (a === undefined || b === undefined) return
        const localOf = (text: string): string => folded(text.slice(0, text.lastIndexOf('@')))
        expect(a === b).toBe(localOf(one) === localOf(other))
      }),
      { numRuns: 5000 },
    )
  })

  it('takes every ordinary address, whatever its case', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (text) => {
        const normal = normaliseEmail(text)
        expect(normal).toBe(text.toLowerCase())
        expect(normaliseEmail(text.toUpperCase())).toBe(normal)
      }),
      { numRuns: 2000 },
    )
  })
})
