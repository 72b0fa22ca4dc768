import { SignatureV4 } from '@smithy/signature-v4';
import type { Command } from 'commander';
import type { Keys } from '../../engine/src/gateway/keys';
import { Sha256 } from '../../engine/src/gateway/signature';
import type { UnusedPermission } from '../../engine/src/services/iam/service';
import { clientConfig, engineAddress } from './app';
import { type CliContext, CommandError, UsageError } from './failure';
import { several } from './format';
import { show } from './pipeline';
import { printTable } from './tables';

export function addPermissions(program: Command, context: CliContext): void {
  program
    .command('permissions')
    .description("list what the app's roles may do and have not done since the local engine started")
    .option('--all', 'also actions that the engine never asks for, and so cannot know about')
    .option('--json', 'write JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ perennial permissions    # in a terminal with the lines that `perennial local` printed',
    )
    .action(async (options: { readonly all?: boolean; readonly json?: boolean }) => {
      const endpoint = engineAddress(context);
      if (endpoint === undefined) {
        throw new UsageError(
          'only the local engine sees which permissions are used: set AWS_ENDPOINT_URL to its address',
        );
      }
      const unused = (await fetchUnused(endpoint, clientConfig(context).credentials)).filter(
        ({ judged }) => judged || options.all,
      );
      show(context, options, unused, () => printUnused(unused));
    });
}

/** Permissions that were granted and not used, one row a statement. */
export function printUnused(unused: readonly UnusedPermission[]): string {
  if (unused.length === 0) return 'every permission that was granted has been used';
  const statements = new Map<string, { path: string; actions: string[]; resources: readonly string[] }>();
  for (const { path, statement, action, resources } of unused) {
    const key = JSON.stringify([path, statement]);
    const row = statements.get(key) ?? { path, actions: [], resources };
    row.actions.push(action);
    statements.set(key, row);
  }
  const rows = [...statements.values()].map(({ path, actions, resources }) => [
    path.replace(/\/Resource$/, ''),
    actions.join('\n'),
    resources.map((arn) => arn.replace(/^arn:[^:]*:/, '')).join('\n'),
  ]);
  return `${printTable(['ROLE', 'GRANTED, NEVER USED', 'ON'], rows)}\n\n${several(unused.length, 'permission')} never used so far`;
}

async function fetchUnused(endpoint: string, credentials: Keys | undefined): Promise<UnusedPermission[]> {
  if (credentials === undefined) throw new UsageError('set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the engine');
  const { protocol, hostname, host } = new URL(endpoint);
  const path = '/_perennial/permissions';
  const signer = new SignatureV4({ service: 'perennial', region: 'local', credentials, sha256: Sha256 });
  const { headers } = await signer.sign({ method: 'GET', protocol, hostname, path, headers: { host } });
  let response: Response;
  try {
    response = await fetch(new URL(path, endpoint), { headers });
  } catch (error) {
    throw (error as Error).cause ?? error; // fetch hides why it could not connect
  }
  if (response.status === 403) throw new CommandError(((await response.json()) as { message: string }).message);
  if (!response.ok)
    throw new CommandError(`${endpoint} is no local engine of Perennial's: it answered ${response.status}`);
  const { unused } = (await response.json()) as { unused: UnusedPermission[] };
  return unused;
}
