import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from './engine/clock';
import type { Statement } from './services/iam/statement';
import type { StateStore } from './state/state-store';

/** Where the engine pretends to be. */
export interface AwsEnvironment {
  readonly account: string;
  readonly region: string;
  readonly partition: string;
  readonly urlSuffix: string;
}

/** Who makes a call: a role of the template, an AWS service on behalf of a resource, or the person at the keyboard. */
export type Caller =
  | {
      readonly kind: 'role';
      readonly roleArn: string;
      /** The session's name. @default local */
      readonly session?: string;
      /** When the session began, in the engine's time. @default now */
      readonly since?: number;
      /** What narrows the session. @default - the role's own policies alone */
      readonly policies?: readonly Statement[];
      /** Tags of the session. */
      readonly tags?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'service';
      /** e.g. `events.amazonaws.com` */
      readonly principal: string;
      readonly sourceArn: string;
    }
  | { readonly kind: 'root' };

/** A role's session. */
export type RoleCaller = Extract<Caller, { kind: 'role' }>;

/** What somebody asks of STS for a role. */
export interface AssumeRole {
  readonly roleArn: string;
  readonly session: string;
  readonly externalId?: string;
  /** What narrows the session: a policy document, and managed policies. */
  readonly policy?: Shape;
  readonly policyArns?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly transitiveTags?: readonly string[];
  readonly sourceIdentity?: string;
}

/** The services that use keys in somebody's name. */
export type KeyUser = 's3' | 'sqs' | 'sns' | 'lambda' | 'dynamodb' | 'logs' | 'sagemaker';

/** What a service asks of a key in somebody's name. */
export interface KeyUse {
  /** By id, ARN, alias or an alias's ARN. */
  readonly key: string;
  /** Without `kms:`, e.g. `Decrypt`. */
  readonly actions: readonly string[];
  /** The service that asks, as `kms:ViaService` has it. */
  readonly via: KeyUser;
  /** The encryption context: what is encrypted, in clear text. */
  readonly context?: Readonly<Record<string, string>>;
  /** Whether KMS is not told on whose behalf a service acts that does so in its own name. */
  readonly withoutSource?: boolean;
}

/** One permission that a call needs: asked of the caller's policies before the call is made. */
export interface RequiredPermission {
  /** e.g. `s3:GetObject` */
  readonly action: string;
  /** ARN, or `*` for actions without a resource. */
  readonly resource: string;
  /** Condition keys that the call sets, e.g. `iam:PassedToService`. */
  readonly conditions?: Readonly<Record<string, string | readonly string[]>>;
  /** The service that asks in the caller's name, as S3 asks KMS: `s3`. @default - the caller asks itself */
  readonly via?: string;
  /** How a refusal is told. @default AccessDeniedException, 403 */
  readonly refusal?: Refusal;
  /** Whether a service that acts in its own name does not tell on whose behalf. @default false */
  readonly withoutSource?: boolean;
}

/** A service's own way to tell of a refusal. */
export interface Refusal {
  readonly code: string;
  /** Of HTTP. */
  readonly status: number;
  /** What it says before IAM's message. */
  readonly before?: string;
}

/** A failure in the API's own terms; the gateway writes it in the caller's protocol. */
export class ApiError extends Error {
  constructor(
    /** The API's error code, e.g. `ResourceInUse`. */
    readonly code: string,
    message: string,
    readonly status = 400,
    /** Further members of the error's shape. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = code;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the shapes of AWS requests and replies are the services' own
export type Shape = any;

export interface Operation {
  /** What IAM must allow for this request. Several: all of them. */
  needs(input: Shape, caller: Caller): readonly RequiredPermission[];
  /** Does it. Times are `Date`s; the gateway and the integrations write them as each protocol does. */
  run(input: Shape, caller: Caller): Promise<Shape> | Shape;
}

/** The signatures of an upload's chunks, each of which builds on the one before. */
export interface ChunkSignatures {
  /** Whether the next chunk is signed. @param digest SHA-256 of its bytes, in hex */
  isChunkSigned(digest: string, signature: string): boolean;
  /** Whether the trailing headers are signed. @param lines each `name:value` and a line feed */
  isTrailerSigned(lines: string, signature: string): boolean;
}

/** What a signature proves. */
export interface Verified {
  readonly caller: Caller;
  /** Of an upload whose chunks are signed one by one. */
  readonly chunks?: ChunkSignatures;
}

/** What came with a request, and what its signature proved. */
export interface Sent extends Verified {
  /** Whole; empty for S3, which reads the request itself. */
  readonly body: Buffer;
}

/** A service of the engine. */
export interface Service {
  /** The SigV4 signing name, by which requests find it: `states`, `sagemaker`, `sqs` … */
  readonly name: string;
  /** Operations by their API name (`CreateTrainingJob`), for the JSON and query protocols and for calls from inside. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** API names of what {@link handle} answers beyond {@link operations}. */
  readonly handles?: readonly string[];
  /** Types of the template's resources that {@link load} is given, e.g. `AWS::SSM::Parameter`. @default none */
  readonly resourceTypes?: readonly string[];
  /**
   * Handles a raw HTTP request, for REST protocols (S3, Lambda, Scheduler, SageMaker runtime).
   * Returns false if the path is not its own.
   */
  handle?(request: IncomingMessage, response: ServerResponse, url: URL, sent: Sent): Promise<boolean>;
  /** Makes the service's resources from the template's of its {@link resourceTypes}; called once, also where there are none. */
  load?(resources: readonly Resource[]): void | Promise<void>;
  /**
   * Deletes a resource of the template, if it is one that holds data.
   *
   * @throws ApiError if the service refuses that, as S3 does of a bucket that is not empty
   */
  unload?(resource: Resource): void;
  /** Whether there is such a resource, with data or not. */
  holds?(resource: Resource): boolean;
  /** Ends children and timers. */
  stop?(): void | Promise<void>;
}

/** A resource of the template, its intrinsics resolved. */
export interface Resource {
  readonly stack: string;
  readonly logicalId: string;
  /** The construct's path, from the template's metadata; the logical id if there is none. */
  readonly path: string;
  /** e.g. `AWS::S3::Bucket` */
  readonly type: string;
  /** What `Ref` gives. */
  readonly physicalId: string;
  readonly arn: string;
  readonly properties: Shape;
  /** What becomes of it when its stack is deleted: `Delete`, unless the template says otherwise. */
  readonly deletionPolicy?: string;
  /** Logical ids of what is made before it, and deleted after it. */
  readonly dependsOn?: readonly string[];
}

/** An event on the default bus, as a service emits it. */
export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: Shape;
  readonly resources?: readonly string[];
  readonly time?: Date;
}

/** One thing that happened, for the log, the tests and the report. */
export interface LogEntry {
  readonly at: Date;
  readonly service: string;
  readonly message: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** What the engine gives every service. */
export interface Context {
  readonly aws: AwsEnvironment;
  readonly clock: Clock;
  /** The folder for this run's state; safe to delete once the engine has stopped. */
  readonly stateDir: string;
  /** Where services keep what they must know when the engine is started again. */
  readonly store: StateStore;
  /** Tells the person who starts the engine what has become of something that an earlier start left. */
  recovered(what: string): void;
  /** Does work once all services are loaded, or at once if they are: for what an earlier start left, and for timers. */
  whenReady(work: () => void): void;
  /** The address that children use, e.g. `http://127.0.0.1:4566`. */
  readonly url: () => string;
  /** Makes a call as somebody: judged by IAM, then run. Throws {@link ApiError}. */
  call(service: string, operation: string, input: Shape, caller: Caller): Promise<Shape>;
  /** Throws `AccessDeniedException` (403) unless the caller may. */
  authorize(caller: Caller, need: RequiredPermission): void;
  /**
   * The caller that a service becomes when it acts under a role.
   *
   * Throws `AccessDenied` (403) unless the role is one of the template's and its trust policy lets the service in.
   *
   * @param principal the service, e.g. `sagemaker.amazonaws.com`
   * @param sourceArn the resource on whose behalf it acts, for conditions on `aws:SourceArn`
   * @param session name of the session, shown in messages
   */
  assumeRole(roleArn: string, principal: string, sourceArn?: string, session?: string): RoleCaller;
  /**
   * The caller that somebody becomes under another role.
   *
   * Throws `AccessDenied` (403) unless their own policies and the role's trust policy allow it.
   */
  assumeRoleAs(caller: Caller, asked: AssumeRole): RoleCaller;
  /** A caller's `aws:userid`. */
  userId(caller: Caller): string;
  /** What the use of a key needs, on top of what a call needs otherwise. */
  keyNeeds(use: KeyUse): readonly RequiredPermission[];
  /** The ARN of a key that is named by id, ARN or alias. */
  keyArn(key: string): string;
  /**
   * The environment that gives a child process new credentials of a role's session, and the engine's address.
   *
   * @param until real time at which the credentials end. @default never
   */
  credentials(caller: RoleCaller, until?: number): Record<string, string>;
  /** Sends an event from an AWS service to the default bus. */
  emit(event: BusEvent): void;
  /** Records a metric value, dated now. */
  metric(
    namespace: string,
    name: string,
    value: number,
    dimensions: Readonly<Record<string, string>>,
    unit?: string,
  ): void;
  /** Runs work that nobody awaits; {@link Engine.idle} waits for it, and an error in it is logged. */
  background(label: string, work: () => Promise<void>): void;
  log(service: string, message: string, detail?: Readonly<Record<string, unknown>>): void;
  /** The folder or file of an asset, by the S3 key that the template names; undefined if it is none of the assembly's. */
  asset(bucket: string, key: string): string | undefined;
  /** A random number in [0, 1), from the engine's seed. */
  random(): number;
  /** How unkindly EventBridge and SQS deliver; `{ copies: 1, shuffle: false }` unless asked for. */
  readonly delivery: Delivery;
  /** Ends when the engine stops. */
  readonly signal: AbortSignal;
  /** The stacks' outputs: `outputs[stack][key]`. */
  readonly outputs?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What the roles were granted and have not used so far. */
  readonly unusedPermissions?: () => readonly object[];
  /** False if schedules fire only by hand ({@link Engine.fire}), not by the clock. */
  readonly schedules?: boolean;
}

/** What at-least-once, unordered delivery may do to consumers; for tests of their idempotency. */
export interface Delivery {
  /** How often each event and message is delivered; at least 1. */
  readonly copies: number;
  /** Whether deliveries are put in random order, from the engine's seed. */
  readonly shuffle: boolean;
}

/** How services that feed on queues wait for messages; they receive and delete them by calls. */
export interface Queues {
  /** Resolves once a message can be received, or when the signal aborts. Marks the queue as one that keeps the engine busy. */
  waitForMessages(queueArn: string, signal: AbortSignal): Promise<void>;
  /**
   * Keeps received messages hidden, also beyond their visibility timeout: a consumer works
   * in real time, which a scaled clock may overtake.
   *
   * @returns ends it
   */
  hold(queueArn: string, receiptHandles: readonly string[]): () => void;
}

/** How services that move data (SageMaker, Step Functions' readers) reach objects without HTTP. */
export interface Objects {
  /** Needs `s3:ListBucket` of the caller. In key order. */
  list(bucket: string, prefix: string, caller: Caller): Promise<StoredObject[]>;
  /** The path of a file with the object's bytes, not to be changed. Needs `s3:GetObject` (or `s3:GetObjectVersion`), and `kms:Decrypt` of its key. */
  file(bucket: string, key: string, caller: Caller, versionId?: string): Promise<string>;
  /**
   * Stores a file's or a buffer's bytes, and emits the event. Needs `s3:PutObject`, and what the key needs.
   *
   * @param kmsKey what encrypts them. @default - what the bucket says
   */
  put(
    bucket: string,
    key: string,
    body: Buffer | { readonly file: string },
    caller: Caller,
    kmsKey?: string,
  ): Promise<StoredObject>;
}

export interface StoredObject {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly versionId?: string;
  readonly lastModified: Date;
}
