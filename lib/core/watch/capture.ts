import type { Contract } from '../dataset/contract';
import type { Score } from '../judge/metric';
import { SMOKE_TEST_ID } from '../names';
import { problemOf, type ScoreRules } from '../problem';

/** One question and its answer, as an endpoint captured them. */
export interface CapturedRow {
  /** As the question had it; absent if the contract names no key. */
  readonly key?: string;
  /** In the contract's order: a finite number or null of a quantity, a text or null of a category. */
  readonly features: ReadonlyArray<number | string | null>;
  readonly score: Score;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What a line of a capture file holds, or why it cannot be understood. */
export type CapturedLine =
  | { readonly rows: readonly CapturedRow[] }
  | { readonly unreadable: string }
  /** No customer's question. */
  | { readonly skipped: true };

/**
 * Reads a line of a file that SageMaker's data capture has written: one request, with any number of rows,
 * and its answer. Never throws: whatever else the line holds has a reason.
 *
 * A row counts only if the endpoint could have served it as it stands: as many fields as the contract has, numbers
 * that are finite, one score for each, which the contract's problem allows.
 *
 * @param line as text, or its bytes in UTF-8
 */
export function parseCapturedLine(line: string | Uint8Array, contract: Contract): CapturedLine {
  try {
    const record = members(parseJson(textOf(line), 'the line is no JSON: the file was cut off, perhaps'));
    const { inferenceId, inferenceTime } = members(record.eventMetadata);
    if (inferenceId === SMOKE_TEST_ID) return { skipped: true };
    const at = momentOf(inferenceTime);
    const { endpointInput, endpointOutput } = members(record.captureData);
    const questions = questionsOf(partOf(endpointInput, 'question'), fieldsOf(contract));
    const scores = answersOf(partOf(endpointOutput, 'answer'), problemOf(contract.target.problem).scores);
    if (questions.length === 0) throw new Unreadable('the question has no row');
    if (questions.length !== scores.length) throw new Unreadable('questions and answers differ in number');
    return { rows: questions.map((question, i) => rowOf(question, scores[i] as Score, at, contract)) };
  } catch (error) {
    if (error instanceof Unreadable) return { unreadable: error.message };
    throw error;
  }
}

class Unreadable extends Error {}

/** A question's or an answer's text, and how it is written. */
interface Part {
  readonly text: string;
  readonly isJson: boolean;
}

type Fields = ReadonlyArray<string | null>;

/** How many fields a question's row has: the key, if there is one, and the features. */
function fieldsOf({ key, features }: Contract): number {
  return features.length + (key === undefined ? 0 : 1);
}

function rowOf(question: Fields, score: Score, at: number, contract: Contract): CapturedRow {
  const { key, features } = contract;
  const fields = fieldsOf(contract);
  if (question.length !== fields) throw new Unreadable(`a row must have ${fields} fields, got ${question.length}`);
  const first = fields - features.length;
  const values = features.map(({ name, kind }, f) => {
    const field = question[first + f] as string | null;
    return kind === 'number' ? toNumber(field, name) : field;
  });
  return { ...(key !== undefined && { key: question[0] ?? '' }), features: values, score, at };
}

function momentOf(time: unknown): number {
  const isTime = typeof time === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/.test(time);
  const at = isTime ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(at)) throw new Unreadable('eventMetadata.inferenceTime is missing, or no time');
  return at;
}

/** What the container's content type did not name as CSV or JSON, SageMaker captures as base64. */
function partOf(part: unknown, what: string): Part {
  const { data, encoding = 'CSV' } = members(part);
  if (data === undefined || data === null) throw new Unreadable(`the ${what} was not captured`);
  if (typeof data !== 'string') throw new Unreadable(`the ${what} must be captured as a text`);
  if (encoding === 'CSV' || encoding === 'JSON') return { text: data, isJson: encoding === 'JSON' };
  if (encoding !== 'BASE64') throw new Unreadable(`the ${what} must be captured as CSV, JSON or BASE64`);
  if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(data)) throw new Unreadable(`the ${what} is no base64`);
  return { text: textOf(Buffer.from(data, 'base64')), isJson: false };
}

function questionsOf({ text, isJson }: Part, fields: number): Fields[] {
  if (!isJson) return parseCsv(text, fields);
  const json = parseJson(text, NO_JSON);
  const rows = Array.isArray(json) ? json : members(json).instances;
  if (!Array.isArray(rows)) throw new Unreadable('a JSON question must be a list of rows, or have them in instances');
  return rows.map((row) => {
    const values = Array.isArray(row) ? row : members(row).features;
    if (!Array.isArray(values)) throw new Unreadable('a row of a JSON question must be a list');
    return values.map(fieldOf);
  });
}

function fieldOf(value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number') throw new Unreadable('a field of a JSON question must be a number, a text or null');
  // a key that has lost its last digits would be joined with another row's ground truth
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new Unreadable('a whole number of a JSON question must be below 2^53, or a text');
  }
  return String(value);
}

/** One score a row; what is no number is none, neither `null` nor a text nor true. */
function answersOf({ text, isJson }: Part, rules: ScoreRules): Score[] {
  if (!isJson) {
    return linesOf(text).map((line) =>
      scoreOf(
        line.split(',').map((field) => (NUMBER.test(field.trim()) ? Number(field) : undefined)),
        rules,
      ),
    );
  }
  const json = parseJson(text, NO_JSON);
  const found = Array.isArray(json) ? json : (members(json).predictions ?? [json]);
  if (!Array.isArray(found))
    throw new Unreadable('a JSON answer must be a list of scores, or have them in predictions');
  return found.map((answer) => {
    const said = typeof answer === 'number' || Array.isArray(answer) ? answer : members(answer).score;
    const score = scoreOf(Array.isArray(said) ? said : [said], rules);
    if (Array.isArray(said) !== Array.isArray(score)) throw new Unreadable(NO_NUMBER);
    return score;
  });
}

function scoreOf(values: readonly unknown[], { are, read, allows }: ScoreRules): Score {
  if (!values.every((value): value is number => Number.isFinite(value))) {
    throw new Unreadable(NO_NUMBER);
  }
  const score = read(values);
  if (score === undefined || !allows(score)) throw new Unreadable(`answers must be ${are}`);
  return score;
}

const NO_NUMBER = 'an answer is no finite number';
const NO_JSON = 'captured as JSON, but it is none';
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function parseJson(text: string, complaint: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Unreadable(complaint);
  }
}

/** The members of an object; none, if it is something else. */
function members(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(bytes: string | Uint8Array): string {
  if (typeof bytes === 'string') return bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Unreadable('the text is not in UTF-8');
  }
}

function toNumber(field: string | null, name: string): number | null {
  if (field === null || field.trim() === '') return null;
  const value = NUMBER.test(field.trim()) ? Number(field) : Number.NaN;
  if (!Number.isFinite(value)) throw new Unreadable(`'${name}' must be a finite number or empty`);
  return value;
}

/** The lines of a text; a line end at its end begins no further one. */
function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/**
 * Reads CSV as the serving container does: a field that begins with a quote ends with the next that is not doubled,
 * what follows it belongs to the field, a quote elsewhere is a character; an empty field is null, quoted or not.
 * Empty lines count for nothing where rows have several fields.
 */
function parseCsv(text: string, fields: number): Fields[] {
  const rows: Fields[] = text.includes('"')
    ? quotedRows(text)
    : linesOf(text).map((line) => line.split(',').map((field) => field || null));
  return fields === 1 ? rows : rows.filter((row) => row.length > 1 || row[0] !== null);
}

function quotedRows(text: string): Fields[] {
  const rows: Fields[] = [];
  let row: Array<string | null> = [];
  for (let at = 0; at < text.length; at++) {
    let field = '';
    if (text[at] === '"') {
      const end = closingQuote(text, at);
      field = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    }
    const end = endOfField(text, at);
    row.push(field + text.slice(at, end) || null);
    at = end;
    if (text[at] === ',') {
      if (at + 1 < text.length) continue;
      row.push(null);
    } else if (text[at] === '\r' && text[at + 1] === '\n') at++;
    rows.push(row);
    row = [];
  }
  return rows;
}

function closingQuote(text: string, open: number): number {
  for (let at = open + 1; ; at += 2) {
    at = text.indexOf('"', at);
    if (at < 0) throw new Unreadable('a quote is not closed');
    if (text[at + 1] !== '"') return at;
  }
}

function endOfField(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== ',' && text[at] !== '\n' && text[at] !== '\r') at++;
  return at;
}
