import { defineConfig } from 'oxlint'

/** A pattern of imports that a part of the tree may not use, and why. */
type Ban = ({ readonly group: string[] } | { readonly regex: string }) & { readonly message: string }

/** Libraries with one home: every other file goes through it. */
const HOMES: Readonly<Record<string, string>> = {
  c12: 'core/config/load.ts',
  listhen: 'core/http/server.ts',
  jose: 'plugins/auth-oauth/** and plugins/auth-oidc/**',
}

const NO_PLUGIN: Ban = {
  group: ['**/plugins/**'],
  message: 'core imports no plugin: resolve.ts finds them by name.',
}
const NO_TESTING: Ban = {
  group: ['**/testing/**'],
  message: 'testing/ is what plugins are tested with: nothing that runs imports it.',
}
const ONLY_INDEX: Ban = {
  // No negated groups: one of them would lift every other ban on the same import.
  regex: `(?:^|/)core/${otherThan('index.ts')}`,
  message: 'plugins import core/index.ts and nothing else of core: the same face third parties have.',
}
const NO_INNER_FILES: Ban = {
  regex: `^(?:\\.\\./){1,2}[^/.][^/]*/${otherThan('index.ts')}`,
  message: "a plugin may import another plugin's index.ts, never its inner files.",
}
const NO_SIDE: Ban = {
  group: ['**/http/**', '**/downstream/**', '**/upstream/**', 'h3', 'srvx', 'undici'],
  message: 'core/gateway knows no HTTP and no era.',
}
const NO_UPSTREAM: Ban = {
  group: ['**/upstream/**'],
  message: 'core/http knows no upstream; they meet in kernel.ts.',
}

/** Matches the beginning of everything else: the engine has no look-ahead. */
function otherThan(name: string): string {
  const characters = name.split('').map((character) => (character === '.' ? '\\.' : character))
  const differing = characters.map((character, index) => `${characters.slice(0, index).join('')}[^${character}]`)
  return `(?:${differing.join('|')}|${characters.join('')}.)`
}

/** The import rule for some files: their bans, and every library whose home they are not. */
function imports(files: string, patterns: Ban[], homeOf: string[] = []) {
  const paths = Object.entries(HOMES)
    .filter(([name]) => !homeOf.includes(name))
    .map(([name, home]) => ({ name, message: `${name} has one home: ${home}.` }))
  return { files: [files], rules: { 'no-restricted-imports': ['error', { paths, patterns }] as never } }
}

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'promise', 'vitest'],
  categories: { correctness: 'error', suspicious: 'error', perf: 'error' },
  options: { typeAware: true, reportUnusedDisableDirectives: 'error' },
  ignorePatterns: ['dist', '**/node_modules', 'data'],
  rules: {
    'import/no-cycle': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/consistent-type-imports': 'error',
    // Against the grain of closures as interfaces, of parsing at the edge and of ordered work.
    'typescript/unbound-method': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/consistent-return': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/prefer-add-event-listener': 'off',
    'unicorn/no-array-sort': 'off',
    'promise/always-return': 'off',
    'import/no-named-as-default-member': 'off',
    'oxc/no-map-spread': 'off',
    'eslint/no-unmodified-loop-condition': 'off',
    'eslint/no-await-in-loop': 'off',
    'eslint/no-shadow': 'off',
    'eslint/no-underscore-dangle': 'off',
  },
  // The last match wins, so narrower parts come later.
  overrides: [
    imports('core/**', [NO_PLUGIN, NO_TESTING]),
    imports('core/gateway/**', [NO_PLUGIN, NO_TESTING, NO_SIDE]),
    imports('core/http/**', [NO_PLUGIN, NO_TESTING, NO_UPSTREAM]),
    imports('core/config/load.ts', [NO_PLUGIN, NO_TESTING], ['c12']),
    imports('core/http/server.ts', [NO_PLUGIN, NO_TESTING, NO_UPSTREAM], ['listhen']),
    imports('testing/**', [{ ...NO_PLUGIN, message: 'testing/ imports no plugin: it tests whatever it is given.' }]),
    imports('plugins/**', [ONLY_INDEX, NO_INNER_FILES, NO_TESTING]),
    imports('plugins/auth-oauth/**', [ONLY_INDEX, NO_INNER_FILES, NO_TESTING], ['jose']),
    imports('plugins/auth-oidc/**', [ONLY_INDEX, NO_INNER_FILES, NO_TESTING], ['jose']),
    // Here `test` is that of `node:test`, which waits for its tests by itself.
    { files: ['examples/*/test/**'], rules: { 'typescript/no-floating-promises': 'off' } },
    {
      files: ['test/**'],
      rules: {
        // What comes off a wire in a test is looked at, not typed; checks have names of their own.
        'typescript/no-explicit-any': 'off',
        'typescript/no-unsafe-type-assertion': 'off',
        'vitest/no-conditional-tests': 'off',
        'vitest/expect-expect': 'off',
        'vitest/require-to-throw-message': 'off',
      },
    },
  ],
})
