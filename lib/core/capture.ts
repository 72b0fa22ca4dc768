import type { Contract } from './contract';
import { SMOKE_TEST_ID } from './names';
import { parseScores } from './scores';

/** One question and its answer, as an endpoint captured them. */
export interface CapturedRow {
  /** As the question had it; absent if the contract names no key. */
  readonly key?: string;
  /** In the contract's order: a number or null of a quantity, a text or null of a category. */
  readonly features: ReadonlyArray<number | string | null>;
  readonly score: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What a line of a capture file holds, or why it cannot be understood. */
export type CapturedLine =
  | { readonly rows: readonly CapturedRow[] }
  | { readonly unreadable: string }
  /** No customer's question. */
  | { readonly skipped: true };

interface Part {
  readonly data?: string;
  readonly encoding?: string;
}

/**
 * Reads a line of a file that SageMaker's data capture has written: one request, with any number of rows,
 * and its answer.
 */
export function parseCapturedLine(line: string, contract: Contract): CapturedLine {
  let record: {
    captureData?: { endpointInput?: Part; endpointOutput?: Part };
    eventMetadata?: { inferenceId?: string; inferenceTime?: string };
  };
  try {
    record = JSON.parse(line);
  } catch {
    return { unreadable: 'the line is no JSON: the file was cut off, perhaps' };
  }
  const { endpointInput, endpointOutput } = record?.captureData ?? {};
  const { inferenceId, inferenceTime = '' } = record?.eventMetadata ?? {};
  if (inferenceId === SMOKE_TEST_ID) return { skipped: true };
  const at = Date.parse(inferenceTime);
  if (Number.isNaN(at)) return { unreadable: 'eventMetadata.inferenceTime is missing' };
  if (endpointInput?.data === undefined || endpointOutput?.data === undefined) {
    return { unreadable: 'the question or the answer was not captured' };
  }

  try {
    const questions = questionsOf(endpointInput);
    const scores = answersOf(endpointOutput);
    if (questions.length !== scores.length) {
      return { unreadable: 'questions and answers differ in number' };
    }
    const first = contract.key === undefined ? 0 : 1;
    const fields = first + contract.features.length;
    const rows = questions.map((question, i): CapturedRow => {
      if (question.length !== fields) throw new Unreadable(`a row must have ${fields} fields, got ${question.length}`);
      if (!Number.isFinite(scores[i])) throw new Unreadable('an answer is no finite number');
      const features = contract.features.map(({ kind }, f) =>
        kind === 'number' ? toNumber(question[first + f]) : question[first + f],
      );
      return { ...(first === 1 && { key: question[0] ?? '' }), features, score: scores[i], at };
    });
    return { rows };
  } catch (error) {
    if (error instanceof Unreadable) return { unreadable: error.message };
    throw error;
  }
}

class Unreadable extends Error {}

type Fields = ReadonlyArray<string | null>;

function questionsOf({ data = '', encoding }: Part): Fields[] {
  if (encoding !== 'JSON') return parseCsv(decoded(data, encoding));
  const json = parseJson(data);
  const rows = Array.isArray(json) ? json : (json as { instances?: unknown })?.instances;
  if (!Array.isArray(rows)) throw new Unreadable('a JSON question must be a list of rows, or have them in instances');
  return rows.map((row) => {
    const fields = Array.isArray(row) ? row : row?.features;
    if (!Array.isArray(fields)) throw new Unreadable('a row of a JSON question must be a list');
    return fields.map((field) => (field === null ? null : String(field)));
  });
}

function answersOf({ data = '', encoding }: Part): ArrayLike<number> {
  if (encoding !== 'JSON') return parseScores(decoded(data, encoding));
  const json = parseJson(data);
  const answers = Array.isArray(json) ? json : ((json as { predictions?: unknown })?.predictions ?? [json]);
  return (answers as unknown[]).map((answer) => Number((answer as { score?: unknown })?.score ?? answer));
}

/** What the container's content type did not name as CSV or JSON, SageMaker captures as base64. */
function decoded(data: string, encoding = 'CSV'): string {
  return encoding === 'BASE64' ? Buffer.from(data, 'base64').toString('utf8') : data;
}

function parseJson(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    throw new Unreadable('captured as JSON, but it is none');
  }
}

function toNumber(field: string | null): number | null {
  return field === null || field.trim() === '' ? null : Number(field);
}

/** Reads CSV: fields may be quoted; an empty field without quotes is null. Empty lines count for nothing. */
function parseCsv(text: string): Fields[] {
  if (!text.includes('"')) {
    return text
      .split('\n')
      .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
      .filter((line) => line !== '')
      .map((line) => line.split(',').map((field) => (field === '' ? null : field)));
  }
  const rows: Fields[] = [];
  let row: Array<string | null> = [];
  // a field, quoted or not, and what ends it
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted?.replaceAll('""', '"') ?? (plain || null));
    if (end === ',') continue;
    if (row.length > 1 || row[0] !== null) rows.push(row);
    row = [];
  }
  return rows;
}
