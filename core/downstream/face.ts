import type { Principal } from '../auth.ts'

/** Turns one era's wire into calls. */
export interface DownstreamFace {
  /** `message` is the parsed body of a POST, whatever JSON it was; `undefined` for other methods. */
  handle(request: Request, message: unknown, principal: Principal): Promise<Response>
  /** Ends every stream and open call. */
  close(): Promise<void>
}
