import type * as sdk from '@aws-sdk/client-dynamodb';
import type { Checked } from '../../api/checked';
import type { Value } from './values';

/** A request whose values are as the API's JSON has them. */
type Plain<T> = T extends sdk.AttributeValue
  ? Value
  : T extends Date | Uint8Array
    ? T
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T;
type Request<T> = Plain<Checked<T>>;

export type GetRequest = Request<Omit<sdk.GetItemInput, 'TableName'>>;
export type QueryRequest = Request<Omit<sdk.QueryInput, 'TableName'>>;
export type ScanRequest = Request<Omit<sdk.ScanInput, 'TableName'>>;
export type PageRequest = QueryRequest | ScanRequest;
export type BatchGetRequest = Request<sdk.BatchGetItemInput>;
export type BatchWriteRequest = Request<sdk.BatchWriteItemInput>;
export type TransactGetRequest = Request<sdk.TransactGetItemsInput>;
export type TransactWriteRequest = Request<sdk.TransactWriteItemsInput>;
export type TransactItem = TransactWriteRequest['TransactItems'][number];
/** Of a put, an update, a deletion or a check: which members it has, its kind says. */
export type WriteRequest = Partial<
  Request<Pick<sdk.Put, 'Item'> & Pick<sdk.Update, 'UpdateExpression'> & Omit<sdk.ConditionCheck, 'TableName'>>
> & { readonly ReturnValues?: string };
export type CreateRequest = Checked<sdk.CreateTableInput>;
/** A table as CreateTable and the template define it; the template's booleans may be text. */
export type Definition = Partial<Omit<CreateRequest, 'SSESpecification'>> & {
  readonly SSESpecification?: { readonly KMSMasterKeyId?: string | undefined } | undefined;
  readonly TimeToLiveSpecification?: { readonly AttributeName?: string; readonly Enabled?: boolean | string };
  /** Of a global table. */
  readonly Replicas?: readonly { readonly SSESpecification?: { readonly KMSMasterKeyId?: string } }[];
};

/** What requests with expressions have in common. */
export interface Expressions {
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>> | undefined;
  readonly ExpressionAttributeValues?: Readonly<Record<string, Value>> | undefined;
}
