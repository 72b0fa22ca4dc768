import { ApiError, type Context, type Operation, type Service, type Shape } from '../../service';

/** CloudFormation, as far as clients read a stack's outputs. Stacks are changed by synthesizing anew, not here. */
export class CloudFormation implements Service {
  readonly name = 'cloudformation';

  readonly operations: Readonly<Record<string, Operation>> = {
    DescribeStacks: {
      needs: ({ StackName }) => [
        { action: 'cloudformation:DescribeStacks', resource: StackName === undefined ? '*' : this.arn(StackName) },
      ],
      run: ({ StackName }) => ({ Stacks: this.stacks(StackName).map((name) => this.describe(name)) }),
    },
  };

  private readonly started: Date;

  constructor(private readonly context: Context) {
    this.started = new Date(context.clock.now());
  }

  private stacks(name: string | undefined): string[] {
    const names = Object.keys(this.context.outputs ?? {});
    if (name === undefined) return names;
    const found = names.find((one) => one === name || this.arn(one) === name);
    if (found === undefined) throw new ApiError('ValidationError', `Stack with id ${name} does not exist`);
    return [found];
  }

  private describe(name: string): Shape {
    return {
      StackName: name,
      StackId: this.arn(name),
      StackStatus: 'CREATE_COMPLETE',
      CreationTime: this.started,
      Outputs: Object.entries(this.context.outputs?.[name] ?? {}).map(([OutputKey, OutputValue]) => ({
        OutputKey,
        OutputValue,
      })),
    };
  }

  private arn(name: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:cloudformation:${region}:${account}:stack/${name}/local`;
  }
}
