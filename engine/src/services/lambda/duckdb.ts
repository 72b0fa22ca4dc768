/** What brings this machine's DuckDB: handlers that read data find it beside the engine, not in their bundle. */
export const INSTALL_DUCKDB = 'npm install --save-dev @duckdb/node-api@1.5.5-r.5';

/** Adds to the error of a function that could not be loaded what to do, where the engine knows it. */
export function withRemedy(error: string): string {
  const { errorMessage, ...rest } = JSON.parse(error) as { readonly errorMessage: string };
  if (!/^Cannot find (module|package) '@duckdb\//.test(errorMessage)) return error;
  const [what] = errorMessage.split('\n');
  return JSON.stringify({
    ...rest,
    errorMessage: `${what}: DuckDB is not installed for this machine: ${INSTALL_DUCKDB}`,
  });
}
