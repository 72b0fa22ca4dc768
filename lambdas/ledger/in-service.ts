import type { DeploymentEnded } from '../../lib/core/ledger/ledger';
import type { Ledger } from './ledger-port';

/** The newest deployment that reached service: what is served, unless somebody has intervened by hand. */
export async function inService(ledger: Ledger): Promise<DeploymentEnded | undefined> {
  const deployments = await ledger.query<DeploymentEnded>('DEPLOYMENT#', { newestFirst: true });
  return deployments.find(({ outcome }) => outcome === 'DEPLOYED');
}
