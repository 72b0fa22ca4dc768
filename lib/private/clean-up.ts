import { Aws, CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { CfnEventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct, IConstruct, IDependable } from 'constructs';
import type { CleanUpProperties } from '../core/clean-up';
import { OwnerTag } from '../core/ownership';
import type { IRunLedger } from '../ledger/run-ledger';
import { sageMakerArn } from './grants';
import { Handler } from './handler';

/** What the executions of a state machine make in SageMaker: what lists it, what looks at it, and what takes it away. */
const MADE_BY = {
  executions: { lists: [], looks: {}, takes: {} },
  deployment: {
    lists: ['sagemaker:ListEndpointConfigs', 'sagemaker:ListModels'],
    looks: { 'sagemaker:DescribeEndpoint': 'endpoint' },
    takes: {
      'sagemaker:DeleteEndpoint': 'endpoint',
      'sagemaker:DeleteEndpointConfig': 'endpoint-config',
      'sagemaker:DeleteModel': 'model',
    },
  },
  training: {
    lists: [
      'sagemaker:ListHyperParameterTuningJobs',
      'sagemaker:ListTrainingJobs',
      'sagemaker:ListTransformJobs',
      'sagemaker:ListModels',
    ],
    looks: {},
    takes: {
      'sagemaker:StopHyperParameterTuningJob': 'hyper-parameter-tuning-job',
      'sagemaker:StopTrainingJob': 'training-job',
      'sagemaker:StopTransformJob': 'transform-job',
      'sagemaker:DeleteModel': 'model',
    },
  },
} as const;

/** The state machine whose executions are stopped and cleaned up after. */
export interface MachineCleanUpProps {
  /** The machine's physical name, as the template knows it. */
  readonly machineName: string;
  readonly ledger: IRunLedger;
  /** Where its executions write: emptied after it, if it is to be. */
  readonly writesTo: readonly IConstruct[];
  /** What must go after what is taken away: an endpoint is deleted with its role. */
  readonly before?: readonly IDependable[];
  readonly encryptionKey: kms.IKey | undefined;
}

/** What is said of a machine, less where its ledger is. */
type MadeProperties = CleanUpProperties extends infer Each
  ? Each extends { readonly What: keyof typeof MADE_BY }
    ? Omit<Each, 'Ledger'>
    : never
  : never;

/** Takes away what a state machine has made at run time, with its stack or when a name of it changes. */
export function cleanUpAfter(
  scope: Construct,
  properties: MadeProperties,
  { machineName, ledger, writesTo, before = [], encryptionKey }: MachineCleanUpProps,
): CustomResource {
  const { lists, looks, takes } = MADE_BY[properties.What];
  const cleanUp = CleanUp.of(scope, encryptionKey);
  cleanUp.allowToStop(machineName);
  if (lists.length > 0) cleanUp.allow([...lists], ['*']);
  for (const [action, kind] of Object.entries(looks)) {
    cleanUp.allow([action], [sageMakerArn(Stack.of(scope), `${kind}/*`)]);
  }
  if (Object.keys(takes).length > 0) cleanUp.allowToTake(takes);
  ledger.grantRead(cleanUp.role);
  const told = { ...properties, Ledger: ledger.table.tableName } as CleanUpProperties;
  return cleanUp.take(scope, told, [...before, ...writesTo.flatMap(emptiedBy)]);
}

/**
 * Takes away with the stack, or with a name that changes, what was made at run time: one function a stack (and key),
 * which may do what its custom resources need.
 */
export class CleanUp extends Handler {
  /** The one of a construct's stack; any of them where no key is asked for. */
  static of(scope: Construct, encryptionKey: kms.IKey | undefined): CleanUp {
    const stack = Stack.of(scope);
    const id = `PerennialCleanUp${encryptionKey === undefined ? '' : encryptionKey.node.addr.slice(-8)}`;
    const known = stack.node.children.filter((child) => child instanceof CleanUp);
    const found = encryptionKey === undefined ? known[0] : known.find((child) => child.node.id === id);
    return found ?? new CleanUp(stack, id, encryptionKey);
  }

  private constructor(scope: Construct, id: string, encryptionKey: kms.IKey | undefined) {
    super(scope, id, {
      bundle: 'clean-up',
      description:
        'Takes away what was made at run time when the stack is deleted (lambdas/clean-up/clean-up.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: 256,
      encryptionKey,
      environment: {},
    });
    // what takes longer than one call may, as an endpoint that is being created does, is handed to the next;
    // a policy of its own, because a function depends on that of its role
    const actions = ['lambda:InvokeFunction'];
    new iam.Policy(this, 'Again', {
      statements: [new iam.PolicyStatement({ actions, resources: [this.function.functionArn] })],
      roles: [this.role],
    });
  }

  /**
   * Has something taken away.
   *
   * @param before what must go after it, beside the function: what it is deleted with, or holds it
   */
  take(scope: Construct, properties: CleanUpProperties, before: IDependable[]): CustomResource {
    const resource = new CustomResource(scope, 'CleanedUp', {
      resourceType: 'Custom::PerennialCleanUp',
      serviceToken: this.function.functionArn,
      properties: { ...properties },
    });
    resource.node.addDependency(this, ...before);
    return resource;
  }

  /** Allows to stop the executions of a machine, by its physical name. */
  allowToStop(machineName: string): void {
    const { partition, region, account } = Stack.of(this);
    const states = `arn:${partition}:states:${region}:${account}`;
    this.allow(['states:ListExecutions'], [`${states}:stateMachine:${machineName}`]);
    this.allow(['states:StopExecution'], [`${states}:execution:${machineName}:*`]);
  }

  /**
   * Allows to take away what this stack has made in SageMaker. Not by name: when a name changes, what has the old one
   * is to go.
   *
   * @param takes the kind of resource that each action is about, e.g. `{ 'sagemaker:DeleteModel': 'model' }`
   */
  allowToTake(takes: Readonly<Record<string, string>>): void {
    const all = (kind: string) => sageMakerArn(Stack.of(this), `${kind}/*`);
    this.allow(['sagemaker:ListTags'], Object.values(takes).map(all));
    for (const [action, kind] of Object.entries(takes)) {
      this.allow([action], [all(kind)], {
        StringEquals: { [`aws:ResourceTag/${OwnerTag.STACK}`]: Aws.STACK_NAME },
      });
    }
  }

  allow(actions: string[], resources: string[], conditions?: Record<string, Record<string, string>>): void {
    this.role.addToPolicy(new iam.PolicyStatement({ actions, resources, conditions }));
  }
}

/** Lets a function that is fed by a queue start nothing any more by the time that something is taken away. */
export function stopFeedingBefore(cleanedUp: IDependable, fed: LambdaFunction): void {
  for (const child of fed.node.findAll()) {
    if (child instanceof CfnEventSourceMapping) child.node.addDependency(cleanedUp);
  }
}

/** What empties a resource of ours before it is deleted, if it is to be: it goes after what is written there. */
function emptiedBy(resource: IConstruct): IDependable[] {
  const { cleanUp } = resource as { cleanUp?: unknown };
  return cleanUp instanceof CustomResource ? [cleanUp] : [];
}
