import type { UpstreamState, UpstreamStatus } from '../status.ts'

/** `/healthz`: 200 as soon as the process answers; counts only, no names. */
export function health(statuses: readonly UpstreamStatus[]): Response {
  return Response.json({ status: 'ok', upstreams: count(statuses) }, { headers: { 'cache-control': 'no-store' } })
}

/** `/readyz`: 200 once every server that is not lazy has settled, 503 before. */
export function readiness(statuses: readonly UpstreamStatus[], ready: boolean): Response {
  return Response.json(
    { status: ready ? 'ready' : 'starting', upstreams: count(statuses) },
    { status: ready ? 200 : 503, headers: { 'cache-control': 'no-store' } },
  )
}

function count(statuses: readonly UpstreamStatus[]): Partial<Record<UpstreamState, number>> {
  const counts: Partial<Record<UpstreamState, number>> = {}
  for (const { state } of statuses) counts[state] = (counts[state] ?? 0) + 1
  return counts
}
