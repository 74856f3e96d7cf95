/** Where an upstream stands; `idle`: connected when it is needed. */
export type UpstreamState = 'connecting' | 'up' | 'idle' | 'down' | 'invalid' | 'disabled'

/** What tables and `/readyz` show of an upstream. */
export interface UpstreamStatus {
  readonly name: string
  /** The transport's type, or `?` where the entry names none. */
  readonly transport: string
  readonly state: UpstreamState
  readonly tools: number
  /** From the start of the connect to the first catalogue, in milliseconds. */
  readonly took?: number
  /** Why it is down, invalid or disabled. */
  readonly reason?: string
}
