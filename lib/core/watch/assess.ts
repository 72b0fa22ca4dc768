import { summarise } from '../judge/explain';
import { holm, nextEvidence } from '../statistics';
import { compareWindow, fewestRows } from './compare-window';
import type { Baseline } from './documents';
import {
  ASSESS_DEFAULTS,
  type Assessment,
  type AssessRules,
  type Finding,
  type MonitoredWindow,
  NOTHING_SEEN,
  type WatchState,
} from './findings';

/**
 * Compares a window with what its model version was trained and judged on.
 *
 * A finding is drift only if all of these hold: the window has rows enough to notice an effect that matters;
 * the difference is significant, corrected for the number of findings; the effect matters; and the running
 * evidence of the windows crosses `averageRunLength` × the number of findings, which bounds how often windows
 * without drift raise an alarm. Strong drift does all this in one window, weak drift in several. After an
 * alarm a finding's evidence begins anew.
 */
export function assess(
  window: MonitoredWindow,
  baseline: Baseline,
  state: WatchState = NOTHING_SEEN,
  rules: AssessRules = ASSESS_DEFAULTS,
): Assessment {
  const comparisons = compareWindow(window, baseline, rules);
  const corrected = holm(comparisons.map((comparison) => comparison.p));
  const evidenceNeeded = rules.averageRunLength * comparisons.length;

  const evidence: Record<string, number> = { ...state.evidence };
  const findings = comparisons.map((comparison, i): Finding => {
    const { pAtThreshold, rows, ...facts } = comparison;
    const key = [facts.family, facts.statistic, facts.feature ?? ''].join('/');
    const gathered = Math.min(evidenceNeeded, nextEvidence(evidence[key] ?? 0, facts.p));
    const rowsNeeded = fewestRows(pAtThreshold, rules.significanceLevel / comparisons.length);
    const enough = rowsNeeded !== undefined && rows >= rowsNeeded;
    const drifted =
      enough &&
      corrected[i] <= rules.significanceLevel &&
      facts.effect >= facts.threshold &&
      gathered >= evidenceNeeded;
    evidence[key] = drifted ? 0 : gathered;
    return { ...facts, adjusted: corrected[i], evidence: gathered, evidenceNeeded, rowsNeeded, enough, drifted };
  });

  const verdict = findings.some((finding) => finding.drifted)
    ? 'DRIFT'
    : findings.length > 0 && findings.every((finding) => finding.enough)
      ? 'OK'
      : 'INSUFFICIENT';
  return {
    verdict,
    findings,
    effect: Math.max(0, ...findings.map((finding) => finding.effect / finding.threshold)),
    state: { windows: state.windows + 1, evidence },
    summary: summarise(verdict, window.rows, findings),
  };
}
