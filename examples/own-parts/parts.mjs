import { Duration } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { CapacityOption, ServingImage, Trainer } from 'cdk-perennial';
import { ApiError } from 'cdk-perennial/local';

// #region trainer
/** A trainer of your own: anything with `bind` that says how its jobs are started. This one builds on one of ours. */
export class HourTrainer {
  constructor(change = {}) {
    this.change = change;
  }

  bind(scope) {
    const script = Trainer.pytorch({
      sourceDirectory: 'training',
      entryPoint: 'train.py',
      compute: [CapacityOption.onDemand('ml.m5.large')],
      servingImage: ServingImage.xgboost(),
    });
    return { ...script.bind(scope), codeVersion: 'hours-1', maxDuration: Duration.minutes(30), ...this.change };
  }
}
// #endregion

// #region trigger
/** A trigger of your own: a rule that sends the controller's queue an event which asks for a run. */
export class LabelsReady {
  bind(scope, { pipelineName, queue, deadLetterQueue }) {
    const asked = {
      source: 'perennial',
      'detail-type': 'Perennial Run Requested',
      id: events.EventField.eventId,
      time: events.EventField.time,
      detail: { pipeline: pipelineName, requestedBy: 'labelling', note: events.EventField.fromPath('$.detail.batch') },
    };
    new events.Rule(scope, 'LabelsReady', {
      eventPattern: { source: ['labelling'], detailType: ['Labels Ready'] },
      targets: [new targets.SqsQueue(queue, { message: events.RuleTargetInput.fromObject(asked), deadLetterQueue })],
    });
  }
}
// #endregion

// #region monitor
/** A monitor of your own: here a state machine that reports drift where more is uploaded than a parameter allows. */
export class SizeMonitor {
  constructor(parameter) {
    this.parameter = parameter;
  }

  bind(scope, { pipelineName, dataset, controller }) {
    const limit = task(scope, 'Read limit', 'aws-sdk:ssm:getParameter', { Name: this.parameter.parameterName });
    const report = task(scope, 'Report drift', 'events:putEvents', {
      Entries: [
        {
          Source: 'perennial',
          DetailType: 'Perennial Drift Detected',
          Detail: {
            pipeline: pipelineName,
            windowId: "{% 'size-' & $states.context.Execution.Name %}",
            windowEnd: '{% $states.context.Execution.Input.time %}',
            modelVersion: 1,
            reportKey: '{% $states.context.Execution.Input.detail.object.key %}',
            summary: 'more ground truth than usual',
          },
        },
      ],
    });
    const isMore = '{% $states.context.Execution.Input.detail.object.size > $number($states.input.Parameter.Value) %}';
    const machine = new sfn.StateMachine(scope, 'Machine', {
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(
        limit.next(
          sfn.Choice.jsonata(scope, 'Is it more?')
            .when(sfn.Condition.jsonata(isMore), report)
            .otherwise(sfn.Succeed.jsonata(scope, 'As usual')),
        ),
      ),
    });
    this.parameter.grantRead(machine);
    controller.grantReportDrift(machine);
    new events.Rule(scope, 'GroundTruth', {
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: { bucket: { name: [dataset.bucket.bucketName] }, object: { key: [{ prefix: 'ground-truth/' }] } },
      },
      targets: [new targets.SfnStateMachine(machine)],
    });
  }
}
// #endregion

/** What calls a service with the permissions of the machine alone. */
function task(scope, id, action, parameters) {
  const stateJson = { Type: 'Task', Resource: `arn:aws:states:::${action}`, Arguments: parameters };
  return new sfn.CustomState(scope, id, { stateJson });
}

// #region service
/** A service of your own in the engine: Systems Manager's parameters, as far as the monitor asks for them. */
export class Parameters {
  name = 'ssm';
  resourceTypes = ['AWS::SSM::Parameter'];
  values = new Map();

  constructor(context) {
    const { partition, region, account } = context.aws;
    const arnOf = (name) => `arn:${partition}:ssm:${region}:${account}:parameter/${name.replace(/^\//, '')}`;
    this.operations = {
      GetParameter: {
        needs: ({ Name }) => [{ action: 'ssm:GetParameter', resource: arnOf(Name) }],
        run: ({ Name }) => {
          const Value = this.values.get(Name);
          if (Value === undefined) throw new ApiError('ParameterNotFound', `there is no parameter ${Name}`);
          return { Parameter: { Name, Value } };
        },
      },
    };
  }

  load(resources) {
    for (const { type, properties } of resources) {
      if (type === 'AWS::SSM::Parameter') this.values.set(properties.Name, properties.Value);
    }
  }
}
// #endregion
