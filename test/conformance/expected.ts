import type { Suite } from './suites.ts'

/** Runs that have entries of their own; `chain-ll`: two proxies that speak the other era to each other. */
export type Section = 'll' | 'mm' | 'ml' | 'lm' | 'chain-ll' | 'chain-mm' | 'clients'

/** Checks that end differently through the proxy than directly, and why that is right. */
export interface Expected {
  readonly sections: readonly Section[]
  /** Absent: in every suite of the sections. */
  readonly suite?: Suite
  readonly scenario: string
  readonly checks: readonly string[]
  readonly reason: string
}

/** An entry whose checks no longer differ is stale and fails the run, as does one without a reason. */
export const EXPECTED: readonly Expected[] = [
  {
    sections: ['ll', 'lm', 'chain-ll'],
    scenario: 'server-sse-polling',
    checks: [
      'server-sse-content-type',
      'server-sse-priming-event',
      'server-sse-retry-field',
      'server-sse-disconnect-resume',
      'stream-closed',
      'incoming-sse-event',
      'incoming-response',
      'outgoing-request',
    ],
    reason:
      "How a server's stream breaks and is resumed is between the server and the proxy, which waits and resumes by itself; " +
      'a call that says nothing before its result is then answered in one piece of JSON, so there is no stream to resume. ' +
      'Nothing fails: the scenario says as information that it has nothing to look at. No requirement set scores it.',
  },
  {
    sections: ['ml', 'chain-mm'],
    scenario: 'input-required-result-basic-elicitation',
    checks: ['sep-2322-elicitation-incomplete', 'sep-2322-elicitation-complete'],
    reason:
      'The check wants the key that the author of a 2026-07-28 server would choose ("user_name"). On the older wire a ' +
      'question is a request of its own and has no key, so the proxy has to invent one.',
  },
  {
    sections: ['ml', 'chain-mm'],
    scenario: 'input-required-result-ignore-extra-params',
    checks: ['sep-2322-ignore-unexpected-params'],
    reason:
      'The check sends the answers with its first request, by the key "user_name" and without any requestState. Nothing has ' +
      'been asked by then, and on the older wire the question has no key: it is asked, as input_required.',
  },
  {
    sections: ['ml', 'chain-mm'],
    scenario: 'server-stateless',
    checks: ['sep-2575-server-rejects-undeclared-capability', 'sep-2575-missing-capability-http-400'],
    reason:
      'What a client can be asked is told to an older server once, when its session opens, not with each call. The server ' +
      'finds out by asking, is refused, and what it makes of that (here: a result that says the tool failed) is its own.',
  },
]
