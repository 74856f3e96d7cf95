/** Variables that programs need to run at all, find their files, speak the user's language and reach the network. */
const PASSED = new Set(
  [
    'PATH HOME USER LOGNAME SHELL TERM TMPDIR LANG LANGUAGE TZ',
    'HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY NODE_EXTRA_CA_CERTS',
    // Windows
    'SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT TEMP TMP USERNAME USERPROFILE HOMEDRIVE HOMEPATH',
    'APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86) PROCESSOR_ARCHITECTURE NUMBER_OF_PROCESSORS',
  ].flatMap((names) => names.split(' ')),
)

const PASSED_PREFIXES = ['LC_', 'XDG_', 'SSL_CERT_', 'NPM_CONFIG_', 'UV_', 'PIP_']

/**
 * The environment of a server: the listed part of the proxy's own, then what the entry says. The proxy's secrets
 * (`MCP_SECRET` and whatever else it was started with) never reach a server by accident.
 */
export function serverEnvironment(
  own: NodeJS.ProcessEnv,
  entry: Readonly<Record<string, string>>,
  alsoPass: readonly string[] = [],
): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && (isPassed(name) || alsoPass.includes(name))) environment[name] = value
  }
  return { ...environment, ...entry }
}

function isPassed(name: string): boolean {
  // Proxy and npm variables are read in both cases.
  const upper = name.toUpperCase()
  return PASSED.has(upper) || PASSED_PREFIXES.some((prefix) => upper.startsWith(prefix))
}
