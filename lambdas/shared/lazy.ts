/** What is made at the first call, and used by all that follow: a function's clients live as long as it is warm. */
export function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
