/**
 * A request as an operation gets it: the API's model has been applied, so what is required is there. The types of AWS's
 * SDK say only that a required member must be named.
 */
export type Checked<T> = T extends Date | Uint8Array
  ? T
  : T extends readonly (infer Item)[]
    ? Checked<Item>[]
    : T extends object
      ? { [K in keyof T]: Checked<object extends Pick<T, K> ? T[K] : Exclude<T[K], undefined>> }
      : T;
