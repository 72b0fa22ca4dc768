import { describe, expect, test } from 'vitest';
import { html } from '../../../bin/report/html';
import { renderReport } from '../../../bin/report/report';
import { historyOf } from '../../../lib/core/ledger/history';
import { ledgerFindings, ledgerItems, PIPELINE } from '../../support/ledger-facts';

const writtenAt = '2026-11-23T12:30:00.000Z';
const facts = { ...historyOf(PIPELINE, ledgerItems()), findings: ledgerFindings(), writtenAt };

/** Whether a page has these parts; a failure names those that are missing, not the page. */
function expectParts(page: string, ...parts: string[]): void {
  expect(parts.filter((part) => !page.includes(part))).toEqual([]);
}

describe('the report', () => {
  test('begins with what serves, since when and why', async () => {
    const page = await renderReport(facts);
    expectParts(page, '<h1>Version 2 serves, since 2026-11-23 09:41 <small>(2 h 49 min)</small></h1>');
    expectParts(page, 'New data; the AUC of the candidate is higher than that of version 1 by 0.0187 to 0.0257.');
  });

  test('needs nothing from elsewhere', async () => {
    const page = await renderReport(facts);
    expect(page.match(/<script|<link|<img|@import|url\((?!#)/)).toBeNull();
    expect(page.match(/https?:\/\/[^"' ]+/g)?.filter((url) => !url.startsWith('http://www.w3.org/'))).toEqual([]);
  });

  test('draws four plots, each with a description for those who do not see it', async () => {
    const page = await renderReport(facts);
    expect(page.match(/<svg role="img" aria-label="[^"]{20,}"/g)).toHaveLength(4);
    expectParts(
      page,
      'run 2: candidate 0.6874, champion 0.6652, BETTER',
      'drifted: hour in window 3, origin in window 3',
      'version 1 from 2026-11-23T08:09:00.000Z to 2026-11-23T09:41:00.000Z',
    );
  });

  test('lists runs, decisions, windows, bad rows and refused files', async () => {
    const page = await renderReport(facts);
    expectParts(
      page,
      '[+0.0187, +0.0257]',
      'drift starts none within 60 min',
      'hour has moved by 0.23',
      'delay: must be a number, got &lt;missing&gt;',
      'incoming/2001-05.parquet cannot be read: it is empty',
    );
  });

  test('counts time as the ledger does, where an engine runs ahead of the world', async () => {
    const page = await renderReport({ ...facts, writtenAt: '2026-11-23T08:00:00.000Z' });
    expectParts(page, '<small>(2 h 19 min)</small>'); // until the end of the last run, at 12:00:40
  });

  test('says what there is not yet', async () => {
    const page = await renderReport({ ...historyOf(PIPELINE, []), writtenAt });
    expectParts(page, '<h1>No model serves yet</h1>');
    expect(page.includes('<svg')).toBe(false);
    expectParts(page, 'No run yet.', 'No trigger has come yet.', 'The monitor has not judged a window yet.');
  });

  test('shows windows whose findings are gone by their verdicts', async () => {
    const page = await renderReport({ ...facts, findings: {} });
    expect(page.match(/<svg /g)).toHaveLength(2);
    expectParts(page, 'hour has moved by 0.23');
  });

  test('draws the limit that the monitor went by', async () => {
    const judged = facts.runs.map((run) =>
      run.judged === undefined ? run : { ...run, judged: { ...run.judged, metric: 'rmse' } },
    );
    const finding = ledgerFindings().w0?.at(-1);
    if (finding === undefined) throw new Error('the story has findings');
    const findings = { w0: [{ ...finding, value: 11, limit: 10.5 }] };
    expectParts(await renderReport({ ...facts, runs: judged, findings }), '11.0000, limit 10.5000');
  });
});

test('what a person wrote is text in a page, never markup', () => {
  expect(html`<p title="${'"'}">${['<b>', 1, undefined, html`<i>${'&'}</i>`]}</p>`.markup).toBe(
    '<p title="&quot;">&lt;b&gt;1<i>&amp;</i></p>',
  );
});
