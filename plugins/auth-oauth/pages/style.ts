/** The look of every page: readable on a phone, in light and dark, by keyboard; no image, no font from elsewhere. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #ffffff; --text: #1c2126; --quiet: #59636e; --line: #c9d0d8;
  --accent: #0b57d0; --on-accent: #ffffff; --note: #fff6e0; --note-line: #b26a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --card: #1e2227; --text: #e8eaed; --quiet: #a6afb9; --line: #434b54;
  --accent: #8ab4f8; --on-accent: #10233f; --note: #322812; --note-line: #e0a13c; --bad: #f2b8b5; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 30rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.75rem 1.5rem; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .75rem; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
dl { margin: 0 0 1rem; border-top: 1px solid var(--line); }
dl div { padding: .6rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--quiet); font-size: .875rem; }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.1rem; }
.quiet { color: var(--quiet); font-size: .9375rem; }
.note { background: var(--note); border-left: 4px solid var(--note-line); border-radius: 4px; padding: .7rem .9rem; }
.bad { color: var(--bad); font-weight: 600; }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 999px; padding: 0 .55rem; font-size: .8125rem; color: var(--quiet); }
label { display: block; margin: 0 0 1rem; font-weight: 600; }
input { display: block; width: 100%; margin-top: .3rem; padding: .65rem .75rem; font: inherit; font-weight: 400; color: inherit; background: var(--ground);
  border: 1px solid var(--quiet); border-radius: 8px; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem; }
button { flex: 1 1 9rem; min-height: 2.75rem; padding: .6rem 1rem; font: inherit; font-weight: 600; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--quiet); background: transparent; color: inherit; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`
