import assert from 'node:assert/strict'

/** Throws where a text holds a secret, plain or in another spelling; the message does not repeat it. */
export function keepsSecrets(text: string, secrets: readonly string[] | undefined, where: string): void {
  for (const [index, secret] of (secrets ?? []).entries()) {
    const found = spellingsOf(secret).some((spelling) => text.includes(spelling))
    assert.ok(!found, `secret number ${index + 1} stands in ${where}`)
  }
}

function spellingsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret)
  const inJson = JSON.stringify(secret).slice(1, -1)
  return [
    secret,
    inJson,
    encodeURIComponent(secret),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
  ]
}
