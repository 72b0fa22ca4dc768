import type { AwsEnvironment, Shape } from '../service';

/** How CloudFormation names a type's resources, and what `Ref` and `Fn::GetAtt` give. */
export interface ResourceType {
  /** The property that names the resource, if it may be named. */
  readonly nameProperty?: string;
  /** Longest legal name. */
  readonly longest?: number;
  /** Makes a generated name legal. */
  readonly legal?: (name: string) => string;
  /** ARN, written with {name}, {partition}, {region}, {account} and {bus}, {group}, {function} from properties. */
  readonly arn?: string;
  /** What `Ref` gives, if it is not the name. */
  readonly ref?: 'arn' | ((named: Named) => string);
  /** Attributes besides `Arn`. */
  readonly attributes?: Readonly<Record<string, (named: Named) => unknown>>;
}

/** What a type's attributes are made from. */
export interface Named {
  readonly name: string;
  readonly arn: string;
  readonly properties: Shape;
  readonly aws: AwsEnvironment;
  readonly endpoint: string;
  /** The same for the same stack and logical id. */
  readonly hash: string;
}

/** Types by their name in templates, e.g. `AWS::SQS::Queue`. */
export type ResourceTypes = Readonly<Record<string, ResourceType>>;

export const regional = (service: string, resource: string) =>
  `arn:{partition}:${service}:{region}:{account}:${resource}`;
export const physicalName = ({ name }: Named) => name;
export const physicalArn = ({ arn }: Named) => arn;

export const sagemakerType = (kind: string, word: string, nameAttribute: string): ResourceType => ({
  nameProperty: nameAttribute,
  longest: 63,
  arn: regional('sagemaker', `${word}/{name}`),
  ref: 'arn',
  attributes: { [nameAttribute]: physicalName, [`${kind}Arn`]: physicalArn },
});

/** An identifier in the form of a UUID, made of a hash. */
export function uuid(hash: string): string {
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
