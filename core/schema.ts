/** Standard Schema v1 (standardschema.dev), the part that is used: a third party's zod may be another copy than ours. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<SchemaIssue> }

export interface SchemaIssue {
  readonly message: string
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
}

/** `path.to[0].key: message`, issue by issue. */
export function describeIssues(issues: ReadonlyArray<SchemaIssue>): string {
  return issues.map((issue) => `${issuePath(issue)}: ${issue.message}`).join('; ')
}

function issuePath(issue: SchemaIssue): string {
  let text = ''
  for (const part of issue.path ?? []) {
    const key = typeof part === 'object' ? part.key : part
    text += typeof key === 'number' ? `[${key}]` : `${text === '' ? '' : '.'}${String(key)}`
  }
  return text === '' ? '(whole)' : text
}
