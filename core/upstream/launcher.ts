import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig, ServerConfig } from '../config/resolved.ts'
import { isRpcError, reasonOf } from '../errors.ts'
import type { Peer } from '../gateway/call.ts'
import type { ListKind } from '../gateway/source.ts'
import type { TransportAdapter } from '../transport.ts'
import { capabilitiesOf, SHARED_CAPABILITIES } from './capabilities.ts'
import { startDeadline } from './deadline.ts'
import type { UpstreamEvent } from './face.ts'
import { openInstance, type Instance } from './instance.ts'
import { isPartyKey, type Client, type IsolationRule } from './isolation.ts'
import type { Offer } from './offer.ts'
import type { Slot } from './slot.ts'
import type { Eras } from './verdict.ts'

export interface LauncherOptions {
  readonly server: ServerConfig
  readonly route: { readonly adapter: TransportAdapter; readonly entry: unknown }
  readonly limits: ResolvedConfig['limits']
  readonly logger: ConsolaInstance
  readonly rule: IsolationRule
  readonly offer: Offer
  readonly eras: Eras
  /** Ends with the upstream. */
  readonly signal: AbortSignal
  processGroup(pid: number): () => void
  peerOf(party: string): Peer | undefined
  /** The server shows state per client. */
  onstate(): void
  /** A resource changed, or the server logged something. */
  onevent(slot: Slot, event: UpstreamEvent): void
}

/** Opens instances of one server and listens to them. */
export interface Launcher {
  /** `peer`: whom it is for; absent: the first one, of use only once its lists are read. */
  launch(slot: Slot, peer: Client | undefined, signal: AbortSignal): Promise<Instance>
  /** Asks an instance that failed a call whether it is still there at all, and drops it if not. */
  check(slot: Slot, instance: Instance): void
}

/** How long (ms) a server may take to say that it is still there. */
const PING = 5000

export function createLauncher(options: LauncherOptions): Launcher {
  const { server, logger, rule, offer } = options
  const { settings, name } = server
  const checked = new Set<Instance>()

  async function launch(slot: Slot, peer: Client | undefined, signal: AbortSignal): Promise<Instance> {
    const alone = peer !== undefined && isPartyKey(rule.keyOf(peer), peer.party)
    let opened: Instance | undefined
    // What changes while the first lists are read would else be missed for good.
    const early = new Set<ListKind>()
    const instance = await openInstance({
      ...options.route,
      name,
      logger,
      signal,
      capabilities: alone ? capabilitiesOf(peer) : SHARED_CAPABILITIES,
      ...(alone && { owner: peer.party }),
      connectTimeout: settings.connectTimeout,
      requestTimeout: settings.requestTimeout,
      requestCeiling: options.limits.requestCeiling,
      onevent(event) {
        const kinds = kindsOf(event)
        if (kinds.length === 0) options.onevent(slot, event)
        else if (opened !== undefined && 'missed' in event) offer.missed(opened, kinds)
        else if (opened === undefined) for (const kind of kinds) early.add(kind)
        else offer.changed(opened, kinds)
      },
      onsilence: () => opened !== undefined && check(slot, opened),
      onstate: options.onstate,
      eras: options.eras,
      tools: offer.lists.tools,
      peerOf: options.peerOf,
      context: {
        name,
        logger,
        maxMessageBytes: options.limits.messageBytes,
        processGroup: options.processGroup,
        ...(peer !== undefined && { principal: peer.principal }),
      },
    })
    try {
      if (peer === undefined || !offer.known) await offer.load(instance, signal, settings.connectTimeout)
    } catch (error) {
      await instance.close()
      throw error
    }
    opened = instance
    if (early.size > 0) offer.changed(instance, [...early])
    return instance
  }

  function check(slot: Slot, instance: Instance): void {
    // Many calls may fail at once: one answer is enough for all.
    if (checked.has(instance)) return
    checked.add(instance)
    const deadline = startDeadline(PING, options.signal)
    instance.face
      .ping(deadline.signal)
      .catch((error: unknown) => {
        // A server without `ping` has answered too.
        if (isRpcError(error) || options.signal.aborted) return
        slot.drop(instance, `it no longer answers: ${reasonOf(error)}`)
      })
      .finally(() => {
        deadline.clear()
        checked.delete(instance)
      })
  }

  return { launch, check }
}

function kindsOf({ kind }: UpstreamEvent): readonly ListKind[] {
  if (kind === 'resource' || kind === 'message') return []
  return kind === 'resources' ? ['resources', 'templates'] : [kind]
}
