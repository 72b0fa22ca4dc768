import type { KeyUse, RequiredPermission } from '../../src/service';

/** What services ask about keys and callers, where a test has neither: any key is its own ARN, and may be asked for. */
export abstract class Keyless {
  userId(): string {
    return 'AROAFAKE:local';
  }

  keyNeeds({ key, actions }: KeyUse): RequiredPermission[] {
    return actions.map((action) => ({ action: `kms:${action}`, resource: key }));
  }

  keyArn(key: string): string {
    return key;
  }
}
