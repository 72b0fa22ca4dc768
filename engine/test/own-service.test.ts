import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError, type Context, Engine, type Resource, type Service } from '../src';
import { assemblyOf } from './support/assembly';
import { signed } from './support/signed';

/** A service that the engine does not have, as a user of it may write one. */
// #region service
class Parameters implements Service {
  readonly name = 'ssm';
  readonly resourceTypes = ['AWS::SSM::Parameter'];
  private readonly values = new Map<string, string>();

  constructor(private readonly context: Pick<Context, 'aws'>) {}

  readonly operations = {
    GetParameter: {
      needs: ({ Name }: { Name: string }) => [{ action: 'ssm:GetParameter', resource: this.arnOf(Name) }],
      run: ({ Name }: { Name: string }) => {
        const Value = this.values.get(Name);
        if (Value === undefined) throw new ApiError('ParameterNotFound', `there is no parameter ${Name}`);
        return { Parameter: { Name, Value } };
      },
    },
  };

  load(resources: readonly Resource[]): void {
    for (const { type, properties } of resources) {
      if (type === 'AWS::SSM::Parameter') this.values.set(properties.Name, properties.Value);
    }
  }

  private arnOf(name: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:ssm:${region}:${account}:parameter/${name.replace(/^\//, '')}`;
  }
}
// #endregion

const MACHINE = 'arn:aws:states:us-east-1:000000000000:stateMachine:asks';

/** A machine that reads the parameter `/a`, and may read what is given. */
function template(allowed: string) {
  const policy = { Statement: [{ Effect: 'Allow', Action: 'ssm:GetParameter', Resource: allowed }] };
  const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'states.amazonaws.com' } };
  const ask = {
    Type: 'Task',
    Resource: 'arn:aws:states:::aws-sdk:ssm:getParameter',
    Arguments: { Name: '/a' },
    Output: '{% $states.result.Parameter.Value %}',
    End: true,
  };
  return {
    A: { Type: 'AWS::SSM::Parameter', Properties: { Name: '/a', Value: 'seven', Type: 'String' } },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: { Statement: [trust] },
        Policies: [{ PolicyName: 'read', PolicyDocument: policy }],
      },
    },
    Asks: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'asks',
        RoleArn: { 'Fn::GetAtt': ['Role', 'Arn'] },
        DefinitionString: JSON.stringify({ QueryLanguage: 'JSONata', StartAt: 'Ask', States: { Ask: ask } }),
      },
    },
  };
}

let engine: Engine | undefined;
afterEach(() => engine?.stop());

async function start(allowed = '*'): Promise<Engine> {
  const assembly = assemblyOf(template(allowed));
  // #region start
  engine = await Engine.start({ assembly, services: [(context) => new Parameters(context)] });
  // #endregion
  return engine;
}

async function asked(running: Engine) {
  const states = new SFNClient(running.clientConfig);
  const { executionArn } = await states.send(new StartExecutionCommand({ stateMachineArn: MACHINE }));
  await running.idle();
  const { status, output, error } = await states.send(new DescribeExecutionCommand({ executionArn }));
  states.destroy();
  return { status, output, error };
}

describe('a service of the user’s own', () => {
  test('reads the template, and answers a state machine’s task', async () => {
    const running = await start();
    expect(await asked(running)).toEqual({ status: 'SUCCEEDED', output: '"seven"', error: undefined });
    expect(running.inert).toEqual([]);
  });

  test('is asked only by whom IAM lets', async () => {
    const running = await start('arn:aws:ssm:us-east-1:000000000000:parameter/b');
    expect(await asked(running)).toMatchObject({ status: 'FAILED', error: 'Ssm.SsmException' });
  });

  test('answers signed requests in AWS’s protocol, and errors of its own', async () => {
    const running = await start();
    const ask = async (Name: string) => {
      const headers = { 'x-amz-target': 'AmazonSSM.GetParameter', 'content-type': 'application/x-amz-json-1.1' };
      const request = { headers, body: JSON.stringify({ Name }) };
      return (await fetch(...(await signed(running.clientConfig, 'ssm', request)))).json();
    };
    expect(await ask('/a')).toEqual({ Parameter: { Name: '/a', Value: 'seven' } });
    expect(await ask('/b')).toMatchObject({ __type: 'ParameterNotFound' });
  });

  test('is given the resources of the types that it declares, and no others', async () => {
    const given: string[] = [];
    class Curious extends Parameters {
      override load(resources: readonly Resource[]): void {
        given.push(...resources.map(({ type }) => type));
      }
    }
    const assembly = assemblyOf(template('*'));
    engine = await Engine.start({ assembly, services: [(context) => new Curious(context)] });
    expect(given).toEqual(['AWS::SSM::Parameter']);
  });

  test('must not have the name of another', async () => {
    const twice = [0, 1].map(() => (context: Context) => new Parameters(context));
    const started = Engine.start({ assembly: assemblyOf(template('*')), services: twice });
    await expect(started).rejects.toThrow("there must be one service of the name 'ssm', got two");
  });
});
