import { domainToASCII, domainToUnicode } from 'node:url'

/** Longest address in characters (RFC 5321 §4.5.3.1.3, less the angle brackets). */
const LONGEST = 254

/** Spaces, control characters, invisible ones (zero width, direction) and halves of surrogate pairs. */
const UNSEEN = /[\p{Z}\p{Cc}\p{Cf}\p{Cs}]/u

/** The only characters beyond ASCII that NFC turns into ASCII ones: Greek question mark, varia, Kelvin sign. */
const POSING = /[\u037E\u1FEF\u212A]/

/** What a local part has only within quotes: quoted ones are taken for no address. */
const SPECIAL = /["(),:;<>@[\\\]]/

/** A domain of letters, digits and hyphens, without a dot at its end. */
const DOMAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/

/**
 * An e-mail address in the one form that addresses are compared in: NFC, A–Z in lower case, the domain in punycode; tags and
 * dots count, nothing is trimmed. `undefined` for whatever is no single plausible address.
 */
export function normaliseEmail(text: string): string | undefined {
  if (typeof text !== 'string' || text.length > LONGEST || UNSEEN.test(text) || POSING.test(text)) return undefined
  const folded = lower(text.normalize('NFC'))
  // A few letters are composed with their marks in lower case only: two texts would become one.
  if (folded !== folded.normalize('NFC')) return undefined
  const [local, domain, ...more] = folded.split('@')
  if (local === undefined || local === '' || SPECIAL.test(local) || domain === undefined || more.length > 0) {
    return undefined
  }
  const ascii = asciiDomain(domain)
  const address = ascii === undefined ? '' : `${local}@${ascii}`
  return address === '' || address.length > LONGEST ? undefined : address
}

/** Only A–Z: other letters have more than one lower case, or one in ASCII. */
function lower(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/**
 * The conversion reads look-alikes (`ﬁ`, `ｅ`, `。`) and parts of URLs as what they look like: what does not come back from it
 * unchanged was no domain name.
 */
function asciiDomain(domain: string): string | undefined {
  if (DOMAIN.test(domain)) return domain
  const ascii = domainToASCII(domain)
  return DOMAIN.test(ascii) && domainToUnicode(ascii) === domain ? ascii : undefined
}
