import type { ClientConfig } from '../../src/engine/engine';
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway';
import { KeyRing } from '../../src/gateway/keys';
import { Signatures } from '../../src/gateway/signature';

/** The engine's gateway by itself, before services of a test: they are reached as in the engine, by signed requests. */
export class Door {
  readonly keys: KeyRing;
  readonly gateway: Gateway;

  constructor(
    options: Omit<GatewayOptions, 'signatures' | 'delegates' | 'failed'> & Partial<GatewayOptions>,
    now = Date.now,
  ) {
    this.keys = new KeyRing(now);
    const failed = (_: string, error: unknown) => console.error(error);
    this.gateway = new Gateway({ signatures: new Signatures(this.keys, now), delegates: {}, failed, ...options });
  }

  /** The options of any SDK client. */
  get client(): ClientConfig & { readonly maxAttempts: 1 } {
    return this.clientWith(this.keys.root);
  }

  clientWith(credentials: ClientConfig['credentials']): ClientConfig & { readonly maxAttempts: 1 } {
    return { endpoint: this.gateway.url, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 };
  }
}
