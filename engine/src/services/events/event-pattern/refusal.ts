import { ApiError, type Shape } from '../../../service';

/** Refuses a pattern, with the reason that EventBridge gives. */
export function refuse(reason: string): never {
  throw new ApiError('InvalidEventPatternException', `Event pattern is not valid. Reason: ${reason}`);
}

export function isObject(value: unknown): value is Record<string, Shape> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
