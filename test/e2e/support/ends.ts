import { onTestFinished } from 'vitest'
import { openProxy, type TestProxy } from '../../harness.ts'
import { openWire, type Wire, type WireOptions } from './wire.ts'

/** A proxy that is closed with the test. */
export async function proxyFor(...args: Parameters<typeof openProxy>): Promise<TestProxy> {
  const proxy = await openProxy(...args)
  onTestFinished(proxy.close)
  return proxy
}

/** A client whose sockets go with the test. */
export async function wireFor(url: string, options?: WireOptions): Promise<Wire> {
  const wire = await openWire(url, options)
  onTestFinished(wire.vanish)
  return wire
}
