import { readFileSync } from 'node:fs';
import { type Contract, parseContract } from '../core/dataset/contract';

/** What a data set must look like: columns, key, event time, features, target. */
export class DataContract {
  /**
   * Reads a contract from a JSON file; `perennial infer` writes a first one from sample data.
   *
   * @throws an error that names every mistake in the file
   */
  public static fromFile(path: string): DataContract {
    let json: unknown;
    try {
      json = JSON.parse(readFileSync(path, 'utf8'));
    } catch (cause) {
      throw new Error(`${path} must be a contract in JSON, got: ${(cause as Error).message}`, { cause });
    }
    return DataContract.fromObject(json);
  }

  /**
   * Takes a contract as an object.
   *
   * @throws an error that names every mistake
   */
  // biome-ignore lint/suspicious/noExplicitAny: jsii knows no `unknown`; parseContract checks it
  public static fromObject(contract: any): DataContract {
    return new DataContract(parseContract(contract));
  }

  /** @internal */
  public readonly _contract: Contract;

  private constructor(contract: Contract) {
    this._contract = contract;
  }
}
