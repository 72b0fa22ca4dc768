import { cpSync, existsSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What to put beside the template. */
export interface AssemblyContent {
  /** @default Stack */
  stack?: string;
  /** Asset files and folders by their S3 key; in the template their bucket is {@link ASSET_BUCKET}. */
  assets?: Record<string, string>;
  /** e.g. `aws://123456789012/eu-west-1` */
  environment?: string;
}

/** The bucket in which a template's assets lie. */
export const ASSET_BUCKET = 'cdk-hnb659fds-assets-000000000000-us-east-1';

/**
 * Writes the smallest cloud assembly that holds these resources, and returns its folder.
 *
 * @param template a whole template, or only its resources by logical id
 */
export function assemblyOf(template: Record<string, unknown>, content: AssemblyContent = {}): string {
  const whole = 'Resources' in template ? template : { Resources: template };
  const stack = content.stack ?? 'Stack';
  return assemblyOfStacks({ [stack]: whole }, content);
}

/** The same, of several stacks. */
export function assemblyOfStacks(
  stacks: Record<string, Record<string, unknown>>,
  { assets = {}, environment = 'aws://unknown-account/unknown-region' }: AssemblyContent = {},
): string {
  const folder = mkdtempSync(join(tmpdir(), 'assembly-'));
  const artifacts: Record<string, unknown> = {};
  for (const [name, template] of Object.entries(stacks)) {
    writeJson(join(folder, `${name}.template.json`), template);
    artifacts[name] = {
      type: 'aws:cloudformation:stack',
      environment,
      properties: { templateFile: `${name}.template.json` },
    };
  }
  const files = Object.entries(assets).map(([objectKey, path]) => {
    if (!existsSync(path)) throw new Error(`no asset at ${path}`);
    const copy = `asset.${objectKey.replace(/\W/g, '-')}`;
    mkdirSync(folder, { recursive: true });
    cpSync(path, join(folder, copy), { recursive: true });
    const packaging = statSync(path).isDirectory() ? 'zip' : 'file';
    const destinations = { current: { bucketName: ASSET_BUCKET, objectKey } };
    return [objectKey, { source: { path: copy, packaging }, destinations }];
  });
  writeJson(join(folder, 'Assets.assets.json'), { version: '55.0.0', files: Object.fromEntries(files) });
  artifacts['Assets.assets'] = { type: 'cdk:asset-manifest', properties: { file: 'Assets.assets.json' } };
  writeJson(join(folder, 'manifest.json'), { version: '55.0.0', artifacts });
  return folder;
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, JSON.stringify(value));
}
