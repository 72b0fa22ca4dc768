import { CfnMapping, Stack, Token } from 'aws-cdk-lib';
import type * as ecr from 'aws-cdk-lib/aws-ecr';
import type { Construct } from 'constructs';
import { refuse } from '../private/validate';

/**
 * The registries of SageMaker's own algorithms and frameworks (XGBoost, scikit-learn), an account a region.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
 */
const XGBOOST_ACCOUNTS: Readonly<Record<string, string>> = {
  'af-south-1': '510948584623',
  'ap-east-1': '651117190479',
  'ap-northeast-1': '354813040037',
  'ap-northeast-2': '366743142698',
  'ap-northeast-3': '867004704886',
  'ap-south-1': '720646828776',
  'ap-south-2': '628508329040',
  'ap-southeast-1': '121021644041',
  'ap-southeast-2': '783357654285',
  'ap-southeast-3': '951798379941',
  'ap-southeast-4': '106583098589',
  'ca-central-1': '341280168497',
  'ca-west-1': '190319476487',
  'cn-north-1': '450853457545',
  'cn-northwest-1': '451049120500',
  'eu-central-1': '492215442770',
  'eu-central-2': '680994064768',
  'eu-north-1': '662702820516',
  'eu-south-1': '978288397137',
  'eu-south-2': '104374241257',
  'eu-west-1': '141502667606',
  'eu-west-2': '764974769150',
  'eu-west-3': '659782779980',
  'il-central-1': '898809789911',
  'me-central-1': '272398656194',
  'me-south-1': '801668240914',
  'sa-east-1': '737474898029',
  'us-east-1': '683313688378',
  'us-east-2': '257758044811',
  'us-gov-east-1': '237065988967',
  'us-gov-west-1': '414596584902',
  'us-west-1': '746614075791',
  'us-west-2': '246618743249',
};

/** The account of most regions' deep learning containers. */
const DEFAULT_ACCOUNT = '763104351884';

/**
 * The registries of AWS's deep learning containers (PyTorch), an account a region.
 *
 * @see https://github.com/aws/deep-learning-containers/blob/master/available_images.md
 */
const PYTORCH_ACCOUNTS: Readonly<Record<string, string>> = {
  'af-south-1': '626614931356',
  'ap-east-1': '871362719292',
  'ap-east-2': '975050140332',
  'ap-northeast-1': DEFAULT_ACCOUNT,
  'ap-northeast-2': DEFAULT_ACCOUNT,
  'ap-northeast-3': '364406365360',
  'ap-south-1': DEFAULT_ACCOUNT,
  'ap-south-2': '772153158452',
  'ap-southeast-1': DEFAULT_ACCOUNT,
  'ap-southeast-2': DEFAULT_ACCOUNT,
  'ap-southeast-3': '907027046896',
  'ap-southeast-4': '457447274322',
  'ap-southeast-5': '550225433462',
  'ap-southeast-6': '633930458069',
  'ap-southeast-7': '590183813437',
  'ca-central-1': DEFAULT_ACCOUNT,
  'ca-west-1': '204538143572',
  'cn-north-1': '727897471807',
  'cn-northwest-1': '727897471807',
  'eu-central-1': DEFAULT_ACCOUNT,
  'eu-central-2': '380420809688',
  'eu-north-1': DEFAULT_ACCOUNT,
  'eu-south-1': '692866216735',
  'eu-south-2': '503227376785',
  'eu-west-1': DEFAULT_ACCOUNT,
  'eu-west-2': DEFAULT_ACCOUNT,
  'eu-west-3': DEFAULT_ACCOUNT,
  'il-central-1': '780543022126',
  'me-central-1': '914824155844',
  'me-south-1': '217643126080',
  'mx-central-1': '637423239942',
  'sa-east-1': DEFAULT_ACCOUNT,
  'us-east-1': DEFAULT_ACCOUNT,
  'us-east-2': DEFAULT_ACCOUNT,
  'us-gov-east-1': '446045086412',
  'us-gov-west-1': '442386744353',
  'us-west-1': DEFAULT_ACCOUNT,
  'us-west-2': DEFAULT_ACCOUNT,
};

/** Where AWS publishes a family of images. */
interface Registry {
  /** As in messages, and in the id of the mapping where the region is known only at deployment. */
  readonly name: string;
  readonly accounts: Readonly<Record<string, string>>;
}

const XGBOOST: Registry = { name: 'XGBoost', accounts: XGBOOST_ACCOUNTS };
const PYTORCH: Registry = { name: 'PyTorch', accounts: PYTORCH_ACCOUNTS };

export interface ImageReference {
  readonly uri: string;
  /** The repository's ARN, for the permission to pull. */
  readonly repositoryArn: string;
  /** The tag or digest. */
  readonly version: string;
}

/** SageMaker's XGBoost image of the stack's region, which trains and serves. */
export function xgboostImage(scope: Construct, version: string): ImageReference {
  return published(scope, XGBOOST, 'sagemaker-xgboost', version);
}

/** The ARN of the repository of all its versions. */
export function xgboostRepository(scope: Construct): string {
  return published(scope, XGBOOST, 'sagemaker-xgboost', '').repositoryArn;
}

/**
 * One of AWS's PyTorch images of the stack's region.
 *
 * @param repository `pytorch` trains and cannot serve, `pytorch-inference` serves and has got no patches since 2026-06-30
 */
export function pytorchImage(
  scope: Construct,
  repository: 'pytorch' | 'pytorch-inference',
  version: string,
): ImageReference {
  return published(scope, PYTORCH, repository, version);
}

function published(scope: Construct, registry: Registry, repository: string, version: string): ImageReference {
  const stack = Stack.of(scope);
  const account = registryAccount(scope, registry);
  return {
    uri: `${account}.dkr.ecr.${stack.region}.${stack.urlSuffix}/${repository}:${version}`,
    repositoryArn: `arn:${stack.partition}:ecr:${stack.region}:${account}:repository/${repository}`,
    version,
  };
}

function registryAccount(scope: Construct, { name, accounts }: Registry): string {
  const stack = Stack.of(scope);
  if (Token.isUnresolved(stack.region)) {
    const id = `${name}Registries`;
    const mapping =
      (stack.node.tryFindChild(id) as CfnMapping | undefined) ??
      new CfnMapping(stack, id, {
        mapping: Object.fromEntries(Object.entries(accounts).map(([region, account]) => [region, { account }])),
      });
    return mapping.findInMap(stack.region, 'account');
  }
  const account = accounts[stack.region];
  refuse(scope, [
    account === undefined &&
      `the ${name} image must be published in the stack's region, got ${stack.region}, allowed ${Object.keys(accounts).join(', ')}`,
  ]);
  return account as string;
}

/** An image in a repository of one's own. */
export function repositoryImage(scope: Construct, repository: ecr.IRepository, version: string): ImageReference {
  refuse(scope, [unsure(version)]);
  return {
    uri: repository.repositoryUriForTagOrDigest(version),
    repositoryArn: repository.repositoryArn,
    version,
  };
}

/** `<account>.dkr.ecr.<region>.<suffix>/<repository>:<tag>` or `@sha256:<digest>`. */
const ADDRESS =
  /^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z0-9.-]+\/([a-z0-9._/-]+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/;

/** An image by its address. SageMaker takes images from ECR only. */
export function addressedImage(scope: Construct, uri: string, repositoryArn?: string): ImageReference {
  if (Token.isUnresolved(uri)) {
    refuse(scope, [
      repositoryArn === undefined &&
        'an image whose address is known only at deployment must come with its repositoryArn; or take fromEcr',
    ]);
    return { uri, repositoryArn: repositoryArn as string, version: uri };
  }
  const [, account, region, repository, tag, digest] = ADDRESS.exec(uri) ?? [];
  const version = digest ?? tag ?? '';
  refuse(scope, [
    account === undefined
      ? `an image must lie in ECR, like 123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1.4, got '${uri}'`
      : unsure(version),
    uri.length > 255 && `an image's address must be at most 255 characters, got ${uri.length}`,
  ]);
  return {
    uri,
    repositoryArn:
      repositoryArn ?? `arn:${Stack.of(scope).partition}:ecr:${region}:${account}:repository/${repository}`,
    version,
  };
}

/** What is wrong with a version that may be another image tomorrow. */
function unsure(version: string): string | false {
  return (
    (version === '' || version === 'latest') &&
    `an image must have a tag of its own or a digest, so that a model can be made again, got ${version || 'none'}`
  );
}
