/** The page's style: no fonts or files from elsewhere, so that the page can be mailed and archived. */
export const STYLE = `
:root { --ink: #1c2430; --soft: #5a6472; --line: #e2e5ea; --paper: #fbfbfa; --accent: #0b5fa5; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
.overline { margin: 0; color: var(--soft); font-size: .875rem; letter-spacing: .02em; }
h1 { margin: .25rem 0 .5rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; text-wrap: balance; }
h1 small { color: var(--soft); font-size: 1.125rem; font-weight: normal; letter-spacing: 0; }
h2 { margin: 0 0 1rem; font-size: 1.25rem; letter-spacing: -.01em; }
h3 { margin: 2rem 0 .5rem; font-size: 1rem; }
.lead { max-width: 48rem; margin: 0 0 1.5rem; color: #36404d; font-size: 1.0625rem; }
section { margin-top: 3rem; padding-top: 1.75rem; border-top: 1px solid var(--line); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 0; padding: 0; list-style: none; }
.cards li { display: flex; flex-direction: column; gap: .15rem; padding: .85rem 1rem; background: #fff; border: 1px solid var(--line); border-radius: .5rem; }
.cards .label, .cards .note { color: var(--soft); font-size: .8125rem; }
.cards .value { font-size: 1.375rem; line-height: 1.3; font-weight: 600; }
.cards .value .chip { font-size: .9375rem; }
figure { margin: 0 0 1.75rem; padding: 1.25rem 1.25rem 1rem; background: #fff; border: 1px solid var(--line); border-radius: .5rem; }
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { margin-top: .75rem; color: var(--soft); font-size: .875rem; max-width: 48rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; white-space: nowrap; border-bottom-color: #c9ced6; }
td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
time, td .chip, td code { white-space: nowrap; }
code, td, .lead, .chip { unicode-bidi: isolate; } /* what reverses a name reverses nothing beside it */
code { font: .8125rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.note { color: var(--soft); white-space: nowrap; }
.chip { display: inline-block; padding: 0 .5rem; border-radius: 1rem; font-size: .8125rem; font-weight: 500; border: 1px solid; }
.good { color: #10613a; background: #e9f6ee; border-color: #bfe3cd; }
.bad { color: #a1201a; background: #fdeeec; border-color: #f3c9c4; }
.neutral { color: #444b55; background: #f1f3f5; border-color: #d9dde2; }
.none { color: var(--soft); }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--accent); font-size: .9375rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .8125rem; }
@media print {
  body { background: #fff; font-size: 11pt; }
  main { max-width: none; padding: 0; }
  section, figure, tr, .cards li { break-inside: avoid; }
  .scroll { overflow: visible; }
  details > *:not(summary) { display: block; }
  table { font-size: 8pt; }
  td code, td .chip, time, .note { white-space: normal; }
}
`;
