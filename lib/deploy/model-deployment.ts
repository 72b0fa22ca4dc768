import { Aws, type CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as scheduler from 'aws-cdk-lib/aws-scheduler';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { DEPLOYMENT_DEFAULTS } from '../core/deploy/defaults';
import type { DeploymentInput } from '../core/deploy/documents';
import { EnvName } from '../core/names';
import { type Owner, ownerTags } from '../core/ownership';
import type { IDataset } from '../dataset/dataset';
import type { IRunLedger } from '../ledger/run-ledger';
import { CAUGHT } from '../machine/expressions';
import { jsonata, stateInput } from '../machine/jsonata';
import { machineLog } from '../machine/machine-log';
import { untilNextPoll } from '../machine/poll';
import { failedExecutionAlarm } from '../private/alarms';
import { cleanUpAfter, stopFeedingBefore } from '../private/clean-up';
import { tellFunction } from '../private/environment';
import { sageMakerArn } from '../private/grants';
import { keyOf } from '../private/keys';
import { endpointMetric } from '../private/metrics';
import { reconcileMistake } from '../private/reconcile';
import { claim } from '../private/two-of-a-kind';
import { refuse } from '../private/validate';
import type { IModelRegistry } from '../registry/model-registry';
import type { DeploymentStepProps } from './deployment-step';
import { assign } from './deployment-variables';
import { Finish } from './finish';
import { plan } from './plan';
import { type IServingTarget, ServingTarget } from './serving-target';
import { servingMistakes } from './serving-target-checks';
import type { ServingTargetConfig, ServingTargetOptions } from './serving-target-props';
import { Starter } from './starter';
import { verify } from './verify';

/** Properties of a {@link ModelDeployment}. */
export interface ModelDeploymentProps {
  /** Where the models are, and captured requests are written. */
  readonly dataset: IDataset;

  /** Where every deployment is recorded. */
  readonly ledger: IRunLedger;

  /** Whose approved versions are deployed. */
  readonly registry: IModelRegistry;

  /** The pipeline's name in the ledger, in events and in tags. */
  readonly pipelineName: string;

  /**
   * The pipeline whose versions are deployed; a registry may hold those of several.
   *
   * @default - `pipelineName`
   */
  readonly versionsOf?: string;

  /**
   * Where approved versions serve.
   *
   * @default ServingTarget.realTimeEndpoint()
   */
  readonly target?: IServingTarget;

  /**
   * How often it is looked for what no event has told of, events being best effort: an approval, and a deployment that
   * has ended. 1 minute to 1 day.
   *
   * @default Duration.hours(1)
   */
  readonly reconcileEvery?: Duration;

  /**
   * The key of yours that encrypts queues, logs, the functions' environments and the disks of the instances that serve.
   * Instances with a local drive encrypt it by themselves and take no key; what is captured is under the bucket's key.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * Brings approved models into service, and proves that they are.
 *
 * An approval goes by a queue to the starter, which starts one execution of the deployment machine at a time. That looks
 * whether the version may be deployed (plan), lets the target make or update what serves it, verifies that it answers and
 * is still approved, or has the target bring back what served before; and records the end. What was made at run time is
 * taken away with the stack.
 */
export class ModelDeployment extends Construct {
  /** Where versions serve: what the target has returned. */
  public readonly serving: ServingTargetConfig;

  /** The deployment machine. */
  public readonly machine: sfn.StateMachine;

  /** The rule on approvals. */
  public readonly approvals: events.Rule;

  /** The queue of approvals. */
  public readonly queue: sqs.Queue;

  /** Where approvals go that could not be handled. */
  public readonly deadLetterQueue: sqs.Queue;

  /** The function that starts one deployment per approval. */
  public readonly starter: lambda.Function;

  /** The function that looks whether a version may be deployed, and decides what to make. */
  public readonly plan: lambda.Function;

  /** The function that records the end. */
  public readonly finish: lambda.Function;

  /** Looks for what no event has told of. */
  public readonly reconcile: scheduler.Schedule;

  /** Fires when an approval could not be handled. */
  public readonly lostApprovalAlarm: cloudwatch.Alarm;

  /** Fires when a deployment fails, is rolled back or runs out of time. */
  public readonly failedDeploymentAlarm: cloudwatch.Alarm;

  /** Stops deployments and takes away what they made when the stack is deleted, or the target's name changes. */
  public readonly cleanUp: CustomResource;

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    const { dataset, ledger, registry, pipelineName, versionsOf = pipelineName } = props;
    const {
      target = ServingTarget.realTimeEndpoint(),
      reconcileEvery = Duration.minutes(DEPLOYMENT_DEFAULTS.reconcileMinutes),
    } = props;
    const encryptionKey = keyOf(this, props.encryptionKey);
    const owner: Owner = { pipeline: pipelineName, registry: registry.groupName };
    const step: DeploymentStepProps = { dataset, ledger, registry, owner, encryptionKey };
    const states = new Construct(this, 'States'); // a scope of their own: their names are what the console shows

    const finish = new Finish(this, states, step);
    const { skipped, rolledBack, failed } = finish;
    const planAgain = sfn.Wait.jsonata(states, 'Wait for a change to end', untilNextPoll());
    const options: ServingTargetOptions = {
      ...{ pipelineName, dataset, registry, encryptionKey },
      tags: ownerTags(owner, Aws.STACK_NAME),
      caught: { failure: CAUGHT },
      ...{ planAgain, skipped, rolledBack, failed },
    };
    this.serving = target.bind(this, options);
    const { name, make, smokeTest, undo, endpoint } = this.serving;
    refuse(this, [
      claim(this, 'pipelineName of a ModelDeployment', pipelineName),
      reconcileMistake(reconcileEvery),
      ...servingMistakes(this, this.serving, options),
    ]);

    const starter = new Starter(this, { ...step, name, versionsOf, reconcileEvery });
    const planned = plan(this, states, { ...step, versionsOf, serving: this.serving, failed });
    planned.state.next(make);
    verify(states, { registry: registry.groupName, smokeTest, undo, deployed: finish.deployed(this.serving) });
    // a target that never waits leaves the state out: Step Functions refuses one that nothing leads to
    const used = sfn.State.findReachableStates(planned.state.startState, { includeErrorHandlers: true });
    if (used.includes(planAgain)) planAgain.next(planned.state);

    const machineName = `${name}-deployment`;
    this.machine = new sfn.StateMachine(this, 'Machine', {
      // fixed, so that CloudFormation refuses a second deployment to this target
      stateMachineName: machineName,
      comment: `Deploys approved models of ${pipelineName} to ${name}`,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(approved(states).next(planned.state)),
      timeout: Duration.days(1),
      tracingEnabled: true,
      logs: {
        destination: machineLog(this, 'MachineLog', encryptionKey),
        level: sfn.LogLevel.ALL,
        includeExecutionData: true,
      },
    });
    starter.start(this.machine);

    this.approvals = starter.approvals;
    this.queue = starter.queue;
    this.deadLetterQueue = starter.deadLetterQueue;
    this.starter = starter.function;
    this.reconcile = starter.reconcile;
    this.lostApprovalAlarm = starter.lostApprovalAlarm;
    this.plan = planned.function;
    this.finish = finish.function;
    this.failedDeploymentAlarm = failedExecutionAlarm(
      this,
      'FailedDeploymentAlarm',
      this.machine,
      `A deployment to ${name} failed, was rolled back or ran out of time; 'perennial served' tells why`,
    );
    const made = { Pipeline: pipelineName, Registry: registry.groupName, Machine: this.machine.stateMachineArn };
    this.cleanUp = cleanUpAfter(
      this,
      endpoint === undefined ? { What: 'executions', ...made } : { What: 'deployment', Endpoint: name, ...made },
      {
        machineName,
        ledger,
        writesTo: [dataset, registry],
        before: endpoint === undefined ? [] : [endpoint.role], // SageMaker deletes an endpoint with the endpoint's own role
        encryptionKey,
      },
    );
    stopFeedingBefore(this.cleanUp, this.starter);
  }

  /** Allows to ask the endpoint, where the target is one. A function finds its name in `ENDPOINT_NAME`. */
  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    refuse(this, [
      this.serving.endpoint === undefined &&
        `grantInvoke must be asked of an endpoint of SageMaker's, got the target ${this.serving.name}; allow what that asks for`,
    ]);
    tellFunction(grantee, { [EnvName.ENDPOINT_NAME]: this.serving.name });
    const resourceArns = [sageMakerArn(Stack.of(this), `endpoint/${this.serving.name}`)];
    return iam.Grant.addToPrincipal({ grantee, actions: ['sagemaker:InvokeEndpoint'], resourceArns });
  }

  /**
   * A metric that SageMaker keeps of the endpoint; the average of five minutes, unless told otherwise.
   *
   * @see https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
   */
  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return endpointMetric(this.serving.name, metricName, props);
  }

  /** Requests to the endpoint; the sum of five minutes, unless told otherwise. */
  public metricInvocations(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('Invocations', { statistic: cloudwatch.Stats.SUM, ...props });
  }

  /** Requests that were answered with an error of the server's; the sum of five minutes, unless told otherwise. */
  public metricInvocation5XXErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('Invocation5XXErrors', { statistic: cloudwatch.Stats.SUM, ...props });
  }

  /** Requests that were answered with an error of the client's; the sum of five minutes, unless told otherwise. */
  public metricInvocation4XXErrors(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('Invocation4XXErrors', { statistic: cloudwatch.Stats.SUM, ...props });
  }

  /** How long the model takes to answer, in microseconds; the average of five minutes, unless told otherwise. */
  public metricModelLatency(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('ModelLatency', props);
  }
}

/** The first state, which an approval starts. */
function approved(states: Construct): sfn.Pass {
  return sfn.Pass.jsonata(states, 'Approved', {
    assign: assign({
      modelPackageArn: jsonata(stateInput<DeploymentInput>().modelPackageArn),
      plan: null,
      failure: null,
      polls: 0,
      looks: 0,
      waits: 0,
    }),
  });
}
