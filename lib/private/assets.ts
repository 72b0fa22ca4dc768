import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder or file of something that this package's build makes, below `dist`. */
export function built(...path: string[]): string {
  const target = join(packageRoot(__dirname), 'dist', ...path);
  if (!existsSync(target)) {
    throw new Error(`dist/${path.join('/')} is missing: run 'npm run build' in the package`);
  }
  return target;
}

/** This code runs from `lib` in tests and from `dist` once published; both lie below package.json. */
function packageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : packageRoot(dirname(folder));
}
