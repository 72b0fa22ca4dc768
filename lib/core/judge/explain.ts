import { listed } from '../listed';
import type { Assessment, Finding } from '../watch/findings';
import type { Judgement, Verdict } from './judgement';
import type { Metric } from './metric';

/** A number as a person reads it: grouped, with so many significant digits. */
export function figure(value: number, digits = 3): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: digits });
}

/** A count as a person reads it. */
export function amount(rows: number): string {
  return `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`;
}

/** Why a first model is taken or refused. */
export function explainFirst(
  metric: Metric,
  judgement: Omit<Judgement, 'because'>,
  /** The trivial answer that it must beat. */
  answer: string,
  required: number | undefined,
  isConstant: boolean,
): string {
  const { candidate, trivial = Number.NaN, rows, difference, interval, confidence, verdict } = judgement;
  const [low, high] = interval.map((end) => figure(end));
  const facts =
    `${metric.label} ${figure(candidate, 4)} against ${figure(trivial, 4)} of the trivial answer, ${answer}, ` +
    `on ${amount(rows)}: difference ${figure(difference)} [${low}, ${high}] at ${figure(confidence * 100)} %`;
  const limit =
    typeof required === 'number'
      ? ` and have ${metric.higherIsBetter ? 'at least' : 'at most'} ${figure(required)}`
      : '';
  if (isConstant && verdict === 'FIRST_REFUSED') {
    return `${facts}; it answers every row alike, so it has learnt nothing from the features`;
  }
  return verdict === 'FIRST'
    ? `${facts}: enough for a first model`
    : `${facts}; a first model must be better than the trivial answer beyond doubt${limit}`;
}

/** Why a candidate replaces the champion or not. */
export function explainComparison(metric: Metric, judgement: Omit<Judgement, 'because'>): string {
  const {
    candidate,
    champion = Number.NaN,
    championVersion,
    rows,
    difference,
    interval,
    confidence,
    margin,
  } = judgement;
  const [low, high] = interval.map((end) => figure(end));
  const findings: Partial<Record<Verdict, string>> = {
    BETTER: `better by ${figure(difference)}`,
    NOT_WORSE: `not worse by more than ${figure(margin)}: difference ${figure(difference)}`,
    INCONCLUSIVE: `undecided: difference ${figure(difference)}`,
    WORSE: `worse by ${figure(-difference)}: difference ${figure(difference)}`,
  };
  const sentence =
    `${metric.label} ${figure(candidate, 4)} against ${figure(champion, 4)} of version ${championVersion} on ${amount(rows)}: ` +
    `${findings[judgement.verdict]} [${low}, ${high}] at ${figure(confidence * 100)} %`;
  if (judgement.worseSlices.length === 0) return sentence;
  const [worst] = judgement.worseSlices;
  const others = judgement.worseSlices.length > 1 ? `, and on ${judgement.worseSlices.length - 1} more` : '';
  return `${sentence}; but worse by ${figure(-worst.difference)} where ${worst.feature} is ${worst.value} (${amount(worst.rows)})${others}`;
}

/** What a window showed. */
export function summarise(verdict: Assessment['verdict'], rows: number, findings: readonly Finding[]): string {
  const on = `${findings.length} ${findings.length === 1 ? 'comparison' : 'comparisons'} of ${amount(rows)}`;
  if (verdict === 'DRIFT') {
    const drifted = findings
      .filter((finding) => finding.drifted)
      .sort((a, b) => b.effect / b.threshold - a.effect / a.threshold)
      .map((finding) => `${subject(finding)} by ${figure(finding.effect)} (matters from ${figure(finding.threshold)})`);
    return `drift in ${drifted.length} of ${on}: ${listed(drifted)}`;
  }
  if (verdict === 'OK') return `no drift in ${on}`;
  if (findings.length === 0) return `nothing to compare in ${amount(rows)}`;
  const short = findings.filter((finding) => !finding.enough);
  const needed = short.map((finding) => finding.rowsNeeded ?? Number.POSITIVE_INFINITY);
  const most = Math.max(...needed);
  const fix =
    most === Number.POSITIVE_INFINITY
      ? `its baseline has too few rows to notice any drift that matters in ${subject(short[needed.indexOf(most)])}`
      : `${amount(most)} would do (for ${subject(short[needed.indexOf(most)])})`;
  return `too few rows for ${short.length} of ${on}: ${fix}`;
}

function subject({ family, feature, statistic }: Finding): string {
  if (family === 'performance') return 'performance';
  if (family === 'predictions') return 'predictions';
  return statistic === 'newCategories' ? `new categories of ${feature}` : `${feature}`;
}
