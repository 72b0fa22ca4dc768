/** The value of an environment variable that the function's construct sets. */
export function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} must be set, got nothing`);
  return value;
}
