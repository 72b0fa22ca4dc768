import { ApiError } from '../../service';

/** A decimal number without rounding: `coefficient * 10 ** exponent`. */
interface Decimal {
  readonly coefficient: bigint;
  readonly exponent: number;
}

const MOST_DIGITS = 38;

function parse(text: string): Decimal {
  const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  const [, sign = '', whole = '', fraction = '', power = '0'] = found ?? [];
  if (!found || whole + fraction === '') {
    const what = text === '' ? '' : `: ${text}`;
    throw new ApiError('ValidationException', `The parameter cannot be converted to a numeric value${what}`);
  }
  return trimmed({
    coefficient: BigInt(sign === '-' ? `-${whole}${fraction}` : whole + fraction),
    exponent: Number(power) - fraction.length,
  });
}

/** Without zeros at the end of the coefficient: equal numbers look alike. */
function trimmed({ coefficient, exponent }: Decimal): Decimal {
  if (coefficient === 0n) return { coefficient, exponent: 0 };
  const digits = coefficient.toString();
  const zeros = digits.length - digits.replace(/0+$/, '').length;
  return { coefficient: coefficient / 10n ** BigInt(zeros), exponent: exponent + zeros };
}

function checked(decimal: Decimal): Decimal {
  const digits = decimal.coefficient.toString().replace('-', '').length;
  if (digits > MOST_DIGITS) {
    throw new ApiError('ValidationException', 'Attempting to store more than 38 significant digits in a Number');
  }
  const magnitude = digits - 1 + decimal.exponent;
  if (decimal.coefficient !== 0n && magnitude > 125) {
    throw new ApiError(
      'ValidationException',
      'Number overflow. Attempting to store a number with magnitude larger than supported range',
    );
  }
  if (decimal.coefficient !== 0n && magnitude < -130) {
    throw new ApiError(
      'ValidationException',
      'Number underflow. Attempting to store a number with magnitude smaller than supported range',
    );
  }
  return decimal;
}

function format({ coefficient, exponent }: Decimal): string {
  const sign = coefficient < 0n ? '-' : '';
  const digits = (coefficient < 0n ? -coefficient : coefficient).toString();
  if (exponent >= 0) return sign + digits + '0'.repeat(exponent);
  if (digits.length > -exponent) return `${sign}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
  return `${sign}0.${digits.padStart(-exponent, '0')}`;
}

/** The one way in which a number is stored; throws if DynamoDB would not store it. */
export function normalized(text: string): string {
  return format(checked(parse(text)));
}

/**
 * The bytes that a number counts against the limit of an item: one, and one for each two significant digits before and
 * after the point, and one for a sign. The exponent does not count.
 */
export function sizeOfNumber(normal: string): number {
  const [sign, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(normal)?.slice(1) ?? [];
  const before = (fraction === '' ? whole.replace(/0+$/, '') : whole).replace(/^0+/, '').length;
  const after = (before === 0 ? fraction.replace(/^0+/, '') : fraction).length;
  return 1 + Math.ceil(before / 2) + Math.ceil(after / 2) + (sign === '-' ? 1 : 0);
}

export function compareNumbers(a: string, b: string): number {
  const [x, y] = aligned(parse(a), parse(b));
  return x < y ? -1 : x > y ? 1 : 0;
}

export function addNumbers(a: string, b: string): string {
  const left = parse(a);
  const right = parse(b);
  const [x, y, exponent] = aligned(left, right);
  return format(checked(trimmed({ coefficient: x + y, exponent })));
}

export function negated(text: string): string {
  return text.startsWith('-') ? text.slice(1) : `-${text}`;
}

function aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const exponent = Math.min(a.exponent, b.exponent);
  const scaled = (one: Decimal) => one.coefficient * 10n ** BigInt(one.exponent - exponent);
  return [scaled(a), scaled(b), exponent];
}
