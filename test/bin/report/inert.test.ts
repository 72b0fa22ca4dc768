import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { renderReport } from '../../../bin/report/report';
import { openBrowser } from '../../../engine/test/support/browser';
import { historyOf } from '../../../lib/core/ledger/history';
import { everywhere } from '../../support/hostile';
import { ledgerFindings, ledgerItems, PIPELINE } from '../../support/ledger-facts';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser?.close());
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

/** The same story, with a text added to everything in it that somebody else may have written. */
function told(text: string) {
  const items = everywhere(ledgerItems(), text);
  const findings = Object.fromEntries(
    Object.entries(everywhere(ledgerFindings(), text)).map(([id, found]) => [`${id}${text}`, found]),
  );
  const facts = historyOf(PIPELINE, items);
  return { ...facts, pipeline: `${PIPELINE}${text}`, findings, writtenAt: '2026-11-23T12:30:00.000Z' };
}

interface Seen {
  /** The page's elements with the names of their attributes; of a plot only which there are. */
  readonly skeleton: string[];
  readonly drawn: string[];
  readonly text: string;
  readonly title: string;
}

/** Opens a page as a person does: the file. Tells what is in it, and what it did. */
async function look(page: string): Promise<Seen & { did: string[] }> {
  const file = join(mkdtempSync(join(tmpdir(), 'report-')), 'report.html');
  writeFileSync(file, page);
  const tab: Page = await browser.newPage();
  const did: string[] = [];
  const address = pathToFileURL(file).href;
  tab.on('dialog', (dialog) => void dialog.dismiss().then(() => did.push(`dialog: ${dialog.message()}`)));
  tab.on('console', (message) => did.push(`console: ${message.text()}`));
  tab.on('pageerror', (error) => did.push(`error: ${error.message}`));
  tab.on('request', (request) => request.url() !== address && did.push(`request: ${request.url().slice(0, 100)}`));
  tab.on('popup', () => did.push('a window'));
  await tab.goto(address);
  const seen = await tab.evaluate<Seen>(`(() => {
    const all = [...document.querySelectorAll('*')];
    const inPlot = (element) => element.closest('svg') !== null && element.tagName !== 'svg';
    const shape = (element) => element.tagName + ' ' + [...element.attributes].map(({ name }) => name).join(' ');
    for (const element of all) { // what only a person would set off
      for (const kind of ['mouseover', 'focus', 'click', 'toggle', 'error', 'load']) element.dispatchEvent(new Event(kind));
    }
    return {
      skeleton: all.filter((element) => !inPlot(element)).map(shape),
      drawn: [...new Set(all.filter(inPlot).map(({ tagName }) => tagName))].sort(),
      text: document.body.textContent,
      title: document.title,
    };
  })()`);
  await tab.waitForTimeout(50);
  if ((await tab.evaluate('globalThis.pwned')) !== undefined) did.push('a script');
  return { ...seen, did };
}

const PLAIN = 'plain';

const MARKUP = {
  'elements that run scripts': [
    '</script><script>pwned=1</script>',
    '<script>pwned=1</script>',
    '<img src=x onerror=pwned=1>',
    '</title></style></svg></textarea></table><script>pwned=1</script>',
    '<svg><script>pwned=1</script></svg>',
    '<svg><a xlink:href="javascript:pwned=1"><text>go</text></a></svg>',
    '<math><mtext></table><img src=x onerror=pwned=1>',
    '<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>',
    '<details open ontoggle=pwned=1>',
  ],
  'attributes and addresses': [
    '"><img src=x onerror="pwned=1">',
    "'><svg onload='pwned=1'>",
    '" onmouseover="pwned=1" x="',
    "' onfocus='pwned=1' autofocus x='",
    '<a href="javascript:pwned=1">here</a>',
    'javascript:pwned=1',
    'url(http://127.0.0.1:9/x.png)',
    'expression(pwned=1)',
  ],
  'elements that load and send': [
    '<style>*{display:none}</style>',
    '<link rel=stylesheet href=http://127.0.0.1:9/x.css>',
    '<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">',
    '<base href=http://127.0.0.1:9/>',
    '<form action=http://127.0.0.1:9/><input autofocus onfocus=pwned=1></form>',
  ],
  'comments, sections and entities': [
    ...['<!--', '-->', '<![CDATA[', ']]>', '<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY e "pwned">]>&e;'],
    ...[
      '&lt;script&gt;pwned=1&lt;/script&gt;',
      '&#60;img src=x onerror=pwned=1&#62;',
      '&',
      '&amp',
      '<',
      '</',
      '"',
      "'",
    ],
  ],
  'expressions and escapes': [
    '${pwned=1}',
    '{{constructor.constructor("pwned=1")()}}',
    '"+(pwned=1)+"',
    "'];pwned=1;['",
    'datum.constructor',
    '\\u003cscript\\u003epwned=1',
    '%3Cscript%3Epwned=1%3C/script%3E',
    '`__proto__`',
  ],
};
const LETTERS = {
  'reversed text, and what has no width': 'gpj\u202Excod.exe\u2066\u2069 a\u200B\u200D\uFEFFb',
  'line ends and control characters': 'a\r\n\u2028\u2029\u0085b \0\u0001\u0008\u001B[31m\u007F\u009B',
  'what are no characters, and marks upon marks': `\uD800 \uDC00 \uFFFE\uFFFF\u{10FFFF} z${'\u0335\u0489'.repeat(500)}`,
  'what is long': `${'long '.repeat(10_000)}${'W'.repeat(50_000)}`,
};

describe('a report', () => {
  let plain: Seen;
  beforeAll(async () => {
    plain = await look(await renderReport(told(PLAIN)));
  });

  test.each(Object.entries(MARKUP))('shows what was written, and obeys none of it: %s', async (_, texts) => {
    const text = texts.join(' ');
    const { did, skeleton, drawn, text: shown, title } = await look(await renderReport(told(text)));
    expect(did).toEqual([]); // no violation of its policy either: nothing came that far
    expect(skeleton).toEqual(plain.skeleton);
    expect(drawn).toEqual(plain.drawn);
    expect(title).toBe(`flights${text}: what serves and why`);
    const times = (all: string, part: string) => all.split(part).length - 1;
    expect(times(shown, PLAIN)).toBe(0);
    const inPlots = 8; // labels there may be cut short
    expect(times(shown, text)).toBeGreaterThanOrEqual(times(plain.text, PLAIN) - inPlots);
  });

  test.each(Object.entries(LETTERS))('is whole with %s', async (_, text) => {
    const { did, skeleton, drawn } = await look(await renderReport(told(text)));
    expect(did).toEqual([]);
    expect(skeleton).toEqual(plain.skeleton);
    expect(drawn).toEqual(plain.drawn);
  });

  test('is whole with words that objects have by themselves', async () => {
    const runs = told(PLAIN).runs.map((run) => ({
      ...run,
      ...(run.judged && { judged: { ...run.judged, verdict: 'constructor' as 'FIRST' } }),
    }));
    const { did, skeleton } = await look(await renderReport({ ...told(PLAIN), runs }));
    expect([did, skeleton]).toEqual([[], plain.skeleton]);
  });

  test('obeys nothing even if a text were not escaped', async () => {
    const asked: (string | undefined)[] = [];
    const site = createServer((request, response) => {
      asked.push(request.url);
      response.end();
    });
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
    const elsewhere = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
    const hostile = `<script>pwned=1</script><img src="${elsewhere}x.png" onerror="pwned=1"><style>body{display:none}</style>
      <iframe srcdoc="<script>parent.pwned=1</script>"></iframe><iframe src="${elsewhere}"></iframe>
      <link rel="stylesheet" href="${elsewhere}"><base href="${elsewhere}"><form action="${elsewhere}"></form>`;
    const page = (await renderReport(told(PLAIN))).replace('<main>', `${hostile}<main>`);
    const tab = await browser.newPage();
    const file = join(mkdtempSync(join(tmpdir(), 'report-')), 'report.html');
    writeFileSync(file, page);
    await tab.goto(pathToFileURL(file).href);
    await tab.waitForTimeout(100);
    await tab.evaluate('document.forms[0].submit()');
    await tab.waitForTimeout(100);
    expect(await tab.evaluate('globalThis.pwned')).toBeUndefined();
    expect(await tab.evaluate('getComputedStyle(document.body).display')).toBe('block');
    expect(await tab.evaluate("getComputedStyle(document.querySelector('h1')).fontSize")).toBe('32px'); // its own style holds
    expect(await tab.evaluate('document.baseURI')).toBe(pathToFileURL(file).href);
    expect(asked).toEqual([]);
    site.close();
  });
});
