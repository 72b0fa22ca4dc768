import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { type History, servedPeriods } from '../../lib/core/ledger/history';
import type { Finding } from '../../lib/core/watch/findings';
import { metric } from '../commands/format';
import { Html, html } from './html';

/** Colours that people with any colour vision tell apart, on white. */
export const COLORS = { candidate: '#0b5fa5', champion: '#8a8f98', drift: '#b3261e', calm: '#0b5fa5', band: '#0b5fa5' };

const WIDTH = 760;
const MINUTE = 60_000;
const GONE = 'does not serve now';
const FONT = 'system-ui, sans-serif';

const CONFIG = {
  // descriptions of single marks are expressions that titles are written into; the whole plot has one of its own
  aria: false,
  font: FONT,
  background: null,
  view: { stroke: null },
  axis: {
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    labelColor: '#444b55',
    titleColor: '#444b55',
    gridColor: '#e6e8eb',
    domainColor: '#c3c7cd',
    tickColor: '#c3c7cd',
  },
  legend: { labelFontSize: 12, titleFontSize: 12, orient: 'top', title: null, symbolSize: 90 },
} as const;

/** Which version served when, as bars; undefined if none has. */
export async function servedPlot(facts: History, until: string): Promise<Html | undefined> {
  const periods = servedPeriods(facts);
  const end = visibleEnd(
    periods.map(({ from }) => Date.parse(from)),
    Date.parse(until),
  );
  const last = periods.at(-1)?.gone === undefined ? 'serves now' : GONE;
  const values = periods.map(({ version, from, to }) => ({
    model: `v${version}`,
    from,
    to: to ?? end,
    now: to === undefined ? last : 'served',
  }));
  if (values.length === 0) return undefined;
  return draw(
    {
      data: { values },
      height: { step: 30 },
      mark: { type: 'bar', cornerRadius: 3, height: 16, tooltip: null },
      encoding: {
        y: {
          field: 'model',
          type: 'nominal',
          title: null,
          sort: null,
          axis: { domain: false, ticks: false, labelPadding: 8 },
        },
        x: {
          field: 'from',
          ...timeAxis(
            'UTC',
            values.flatMap(({ from, to }) => [from, to]),
          ),
        },
        x2: { field: 'to' },
        color: {
          field: 'now',
          type: 'nominal',
          scale: {
            domain: ['served', last],
            range: [COLORS.champion, last === GONE ? COLORS.drift : COLORS.band],
          },
        },
      },
    },
    `Which model version served when: ${periods.map(({ version, from, to }) => `version ${version} from ${from} to ${to ?? 'now'}`).join('; ')}`,
  );
}

/** So far to the right that a model which has just begun to serve can be seen. */
function visibleEnd(begins: readonly number[], until: number): string {
  const [first = until] = begins;
  const last = begins.at(-1) ?? until;
  return new Date(Math.max(until, last + Math.max(MINUTE, (last - first) * 0.05))).toISOString();
}

/** The metric of candidate and champion by run, and the difference with its interval; undefined if no run was judged. */
export async function verdictPlot({ runs }: History): Promise<Html | undefined> {
  const judged = runs.flatMap(({ runId, startedAt, judged }, i) =>
    judged === undefined ? [] : [{ ...judged, runId, startedAt, label: `${i + 1}` }],
  );
  const name = judged.at(-1)?.metric;
  const compared = judged.filter(({ metric }) => metric === name);
  if (name === undefined) return undefined;
  const points = compared.flatMap(({ label, candidate, champion }) => [
    { label, model: 'candidate', value: candidate },
    ...(champion === undefined ? [] : [{ label, model: 'champion', value: champion }]),
  ]);
  const differences = compared
    .filter(({ champion }) => champion !== undefined)
    .map(({ label, difference, interval: [low, high], verdict }) => ({ label, difference, low, high, verdict }));
  const x = {
    field: 'label',
    type: 'ordinal',
    title: 'run (number in the table)',
    scale: { type: 'band', padding: 0, domain: compared.map(({ label }) => label) },
    axis: { labelAngle: 0 },
  } as const;
  const metrics = {
    data: { values: points },
    width: WIDTH,
    height: 170,
    layer: (['candidate', 'champion'] as const).map((model) => ({
      transform: [{ filter: `datum.model === '${model}'` }],
      mark: { type: 'point', filled: true, size: 110, opacity: 1, xOffset: model === 'candidate' ? 7 : -7 }, // side by side
    })),
    encoding: {
      x: { ...x, title: null },
      y: {
        field: 'value',
        type: 'quantitative',
        title: `${name} on the holdout`,
        scale: { zero: false, padding: 14 },
        axis: { tickCount: 5 },
      },
      color: {
        field: 'model',
        type: 'nominal',
        scale: { domain: ['candidate', 'champion'], range: [COLORS.candidate, COLORS.champion] },
      },
      shape: {
        field: 'model',
        type: 'nominal',
        scale: { domain: ['candidate', 'champion'], range: ['circle', 'square'] },
      },
    },
  };
  const intervals = {
    data: { values: differences },
    width: WIDTH,
    height: 150,
    layer: [
      {
        data: { values: [{ zero: 0 }] },
        mark: { type: 'rule', color: '#6b7280', strokeDash: [4, 4] },
        encoding: { y: { field: 'zero', type: 'quantitative' } },
      },
      {
        mark: { type: 'rule', strokeWidth: 2.5, color: COLORS.candidate },
        encoding: {
          x,
          y: { field: 'low', type: 'quantitative', title: 'improvement', axis: { tickCount: 5 } },
          y2: { field: 'high' },
        },
      },
      {
        mark: { type: 'point', filled: true, size: 90, opacity: 1, color: COLORS.candidate },
        encoding: { x, y: { field: 'difference', type: 'quantitative' } },
      },
      {
        mark: { type: 'text', align: 'left', dx: 9, fontSize: 11, color: '#444b55' },
        encoding: { x, y: { field: 'difference', type: 'quantitative' }, text: { field: 'verdict' } },
      },
    ],
  };
  return draw(
    (differences.length === 0 ? metrics : { vconcat: [metrics, intervals], spacing: 26 }) as unknown as TopLevelSpec,
    `${name} of candidate and champion by run: ${compared.map((one) => `run ${one.label}: candidate ${metric(one.candidate)}${one.champion === undefined ? '' : `, champion ${metric(one.champion)}`}, ${one.verdict}`).join('; ')}`,
  );
}

/** One point of the monitored metric. */
interface Performance {
  readonly at: string;
  readonly version: string;
  readonly value: number;
  readonly limit: number;
  readonly verdict: string;
}

/** The metric on rows whose ground truth became known, with the limit from which its change matters; undefined if none is known. */
export async function performancePlot(
  { windows, runs }: History,
  findings: Readonly<Record<string, readonly Finding[]>>,
): Promise<Html | undefined> {
  const name = runs.findLast(({ judged }) => judged !== undefined)?.judged?.metric ?? 'metric';
  const values = windows.flatMap(({ windowId, at, modelVersion, verdict }): Performance[] => {
    const found = findings[windowId]?.find(({ statistic }) => statistic === 'performanceDrop');
    if (found?.limit === undefined) return [];
    return [{ at, version: `v${modelVersion}`, value: found.value, limit: found.limit, verdict }];
  });
  if (values.length === 0) return undefined;
  const times = values.map(({ at }) => at);
  const x = { field: 'at', ...timeAxis('window judged at (UTC)', times, 24) };
  const scale = scaleOf(values.map(({ verdict }) => verdict));
  const y = {
    type: 'quantitative',
    title: `${name} where the ground truth is known`,
    scale: { zero: false, padding: 14 },
    axis: { tickCount: 5 },
  } as const;
  return draw(
    {
      data: { values },
      height: 190,
      layer: [
        {
          mark: { type: 'tick', color: COLORS.drift, thickness: 2, size: 34, orient: 'horizontal' },
          encoding: { x, y: { ...y, field: 'limit' } },
        },
        {
          mark: { type: 'line', color: '#c3c7cd' },
          encoding: { x, y: { ...y, field: 'value' }, detail: { field: 'version' } },
        },
        {
          mark: { type: 'point', filled: true, size: 100, opacity: 1 },
          encoding: {
            x,
            y: { ...y, field: 'value' },
            color: { field: 'verdict', type: 'nominal', scale: scale.colors },
            shape: { field: 'verdict', type: 'nominal', scale: scale.shapes },
          },
        },
        {
          mark: { type: 'text', dy: -13, fontSize: 11, color: '#444b55' },
          encoding: { x, y: { ...y, field: 'value' }, text: { field: 'version' } },
        },
      ],
    } as unknown as TopLevelSpec,
    `${name} by window: ${values.map(({ at, value, limit, verdict }) => `${at}: ${metric(value)}, limit ${metric(limit)}, ${verdict}`).join('; ')}`,
  );
}

/** How each verdict of the monitor looks. */
const VERDICT_MARKS: Readonly<Record<string, readonly [color: string, shape: string]>> = {
  OK: [COLORS.calm, 'circle'],
  DRIFT: [COLORS.drift, 'diamond'],
  INSUFFICIENT: [COLORS.champion, 'square'],
  BAD_DATA: ['#8a5a00', 'triangle-up'],
};

/** The colours and shapes of the verdicts that occur. */
function scaleOf(verdicts: readonly string[]) {
  const domain = Object.keys(VERDICT_MARKS).filter((verdict) => verdicts.includes(verdict));
  return {
    colors: { domain, range: domain.map((verdict) => VERDICT_MARKS[verdict]?.[0]) },
    shapes: { domain, range: domain.map((verdict) => VERDICT_MARKS[verdict]?.[1]) },
  };
}

/** An axis of time, as finely labelled as its span needs. */
function timeAxis(title: string, times: readonly string[], padding = 0) {
  const moments = times.map(Date.parse);
  const span = Math.max(...moments) - Math.min(...moments);
  const format = span < 10 * MINUTE ? '%H:%M:%S' : span < 36 * 60 * MINUTE ? '%H:%M' : '%-d %b';
  return {
    type: 'temporal',
    title,
    scale: { type: 'utc', padding },
    axis: { tickCount: 8, labelOverlap: true, format },
  } as const;
}

/** How far inputs and predictions have moved, as multiples of what matters, by window; undefined if nothing was compared. */
export async function driftPlot(
  { windows }: History,
  findings: Readonly<Record<string, readonly Finding[]>>,
): Promise<Html | undefined> {
  const values = windows.flatMap(({ windowId, at }, i) =>
    (findings[windowId] ?? []).map((finding) => ({
      window: `${i + 1}`,
      at,
      what: nameOf(finding),
      ratio: Math.max(0, finding.effect / finding.threshold),
      drifted: finding.drifted,
    })),
  );
  if (values.length === 0) return undefined;
  const position = {
    x: {
      field: 'window',
      type: 'ordinal',
      title: 'window (number in the table)',
      sort: null,
      axis: { labelAngle: 0, labelOverlap: true },
    },
    y: { field: 'what', type: 'nominal', title: null, sort: null, axis: { domain: false, ticks: false } },
  } as const;
  const drifted = values.filter((value) => value.drifted).map(({ what, window }) => `${what} in window ${window}`);
  return draw(
    {
      data: { values },
      height: { step: 24 },
      layer: [
        {
          mark: { type: 'rect', stroke: '#ffffff', strokeWidth: 2 },
          encoding: {
            ...position,
            color: {
              field: 'ratio',
              type: 'quantitative',
              scale: {
                domain: [0, 1, 3],
                range: ['#f1f4f8', '#f0c9a0', COLORS.drift],
                clamp: true,
                interpolate: 'rgb',
              },
              legend: {
                title: 'effect as a multiple of what matters',
                titleLimit: 400,
                gradientLength: 220,
                values: [0, 1, 2, 3],
                orient: 'top',
                format: '~r',
              },
            },
          },
        },
        {
          transform: [{ filter: 'datum.drifted' }],
          mark: { type: 'text', fontWeight: 'bold', fontSize: 11, color: '#3b0906' },
          encoding: { ...position, text: { value: 'drift' } },
        },
      ],
    } as unknown as TopLevelSpec,
    `Effects by window as multiples of what matters; drifted: ${drifted.join(', ') || 'nothing'}`,
  );
}

function nameOf({ family, feature, statistic }: Finding): string {
  if (family === 'performance') return 'performance';
  if (family === 'predictions') return 'predictions';
  return statistic === 'newCategories' ? `${feature}: new values` : `${feature}`;
}

/** Draws on this machine, as SVG with a description for those who do not see it. */
async function draw(spec: object, description: string): Promise<Html> {
  const full = { $schema: undefined, width: WIDTH, config: CONFIG, ...spec } as unknown as TopLevelSpec;
  const { spec: compiled } = compile(full, { logger: SILENT });
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', logger: SILENT });
  try {
    const svg = await view.toSVG();
    return html`<svg role="img" aria-label="${description}" ${new Html(svg.replace(/^<svg /, ''))}`;
  } finally {
    view.finalize();
  }
}

/** Vega tells its hints to the console otherwise. */
const SILENT = vega.logger(vega.Error);
