import type { LogLevel } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { Meta, openEnvelope, type Envelope } from '../wire/envelope.ts'
import { decodeHeaderValue, mirroredName } from '../wire/headers.ts'
import { isObject, type RpcErrorBody, type RpcRequest } from '../wire/jsonrpc.ts'
import { isModernVersion, MODERN_VERSIONS } from '../wire/versions.ts'
import { readLevel } from './levels.ts'

/** Checks a request's envelope and the headers that mirror its body (2026-07-28 streamable-http#Server Validation). */
export function checkEnvelope(headers: Headers, request: RpcRequest): Envelope | RpcErrorBody {
  const envelope = openEnvelope(request.params)
  const { protocolVersion, clientCapabilities } = envelope
  if (typeof protocolVersion !== 'string') return missing('protocolVersion')
  const mismatch = checkHeaders(headers, request, protocolVersion, envelope)
  if (mismatch !== undefined) return { code: ErrorCode.HeaderMismatch, message: mismatch }
  if (!isModernVersion(protocolVersion)) {
    return {
      code: ErrorCode.UnsupportedProtocolVersion,
      message: `Unsupported protocol version: ${protocolVersion}`,
      data: { supported: MODERN_VERSIONS, requested: protocolVersion },
    }
  }
  return isObject(clientCapabilities) ? envelope : missing('clientCapabilities')
}

/** The log level a request asks for; `undefined`: it wants no log. Any other value is an error (2026-07-28 basic/index#_meta). */
export function checkLogLevel({ params }: RpcRequest): LogLevel | undefined | RpcErrorBody {
  const meta = params?._meta
  const asked = isObject(meta) ? meta[Meta.logLevel] : undefined
  return asked === undefined ? undefined : (readLevel(asked) ?? missing('logLevel'))
}

function missing(key: string): RpcErrorBody {
  return {
    code: ErrorCode.InvalidParams,
    message: `_meta "io.modelcontextprotocol/${key}" is missing or of the wrong type`,
  }
}

function checkHeaders(
  headers: Headers,
  request: RpcRequest,
  version: string,
  { params }: Envelope,
): string | undefined {
  const claimed = headers.get('mcp-protocol-version')
  if (claimed === null) return 'MCP-Protocol-Version header is missing'
  if (claimed !== version) return 'MCP-Protocol-Version header and body disagree'
  const method = headers.get('mcp-method')
  if (method === null) return 'Mcp-Method header is missing'
  if (method !== request.method) return 'Mcp-Method header and body disagree'
  const name = mirroredName(request.method, params)
  if (name === undefined) return undefined
  const header = headers.get('mcp-name')
  if (header === null) return 'Mcp-Name header is missing'
  const decoded = decodeHeaderValue(header)
  if (decoded === undefined) return 'Mcp-Name header is no valid base64'
  return decoded === name ? undefined : 'Mcp-Name header and body disagree'
}
