/** JSON-RPC and MCP error codes of both eras (2026-07-28 basic/index#Error Codes; older revisions' schema). */
export const ErrorCode = {
  ParseError: -32700,
  InvalidRequest: -32600,
  MethodNotFound: -32601,
  InvalidParams: -32602,
  InternalError: -32603,
  /** Legacy: the session id is unknown or ended. */
  SessionNotFound: -32001,
  /** Legacy: no resource has this URI; 2026-07-28 says `InvalidParams`. */
  ResourceNotFound: -32002,
  /** Legacy: the call needs the user to open URLs first (2025-11-25 client/elicitation). */
  UrlElicitationRequired: -32042,
  /** 2026-07-28: a header and the body disagree, or a required header is missing. */
  HeaderMismatch: -32020,
  /** 2026-07-28: the request needs a capability that the client did not declare. */
  MissingClientCapability: -32021,
  /** 2026-07-28: the protocol version is not served here. */
  UnsupportedProtocolVersion: -32022,
} as const
