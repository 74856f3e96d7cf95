/** Session-based revisions, newest first. */
const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const

/** Stateless revisions, newest first. */
export const MODERN_VERSIONS = ['2026-07-28'] as const

export const NEWEST_LEGACY = LEGACY_VERSIONS[0]

/** The only revision whose Streamable HTTP takes JSON-RPC batches (2025-03-26 basic/transports#sending-messages-to-the-server). */
export const BATCH_VERSION = '2025-03-26'

export function isLegacyVersion(version: string): boolean {
  return (LEGACY_VERSIONS as readonly string[]).includes(version)
}

export function isModernVersion(version: string): boolean {
  return (MODERN_VERSIONS as readonly string[]).includes(version)
}

/** A revision named by date that is newer than every session-based one: its clients speak the stateless wire. */
export function looksModern(version: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(version) && version > NEWEST_LEGACY
}
