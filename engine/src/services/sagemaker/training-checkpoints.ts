import { join, posix } from 'node:path';
import type { CheckpointConfig } from '@aws-sdk/client-sagemaker';
import type { Checked } from '../../api/checked';
import { ownPart } from '../../engine/paths';
import type { Caller } from '../../service';
import { type Host, invalid, s3Uri } from './host';
import { clientSide } from './job-failure';
import { download, timesBelow, uploadFolder, withSlash } from './staging';
import { filesBelow } from './tar';

/** The folder of checkpoints, below /opt/ml. */
export function checkpointFolder({ LocalPath = '/opt/ml/checkpoints' }: Pick<CheckpointConfig, 'LocalPath'>): string {
  const path = posix.relative('/opt/ml', posix.normalize(LocalPath)).replace(/\/$/, '');
  if (path === '' || path.startsWith('..')) {
    throw invalid(`CheckpointConfig.LocalPath must lie below /opt/ml in this engine, got ${LocalPath}`);
  }
  return path;
}

/** Keeps the checkpoints of one host in S3 as they are on its disk, deletions included. */
export class CheckpointSync {
  readonly folder: string;
  /** Below the root. */
  private readonly part: string;
  private readonly uri: string;
  /** What S3 has from here, with the files' times. */
  private known = new Map<string, number>();
  private running: Promise<void> = Promise.resolve();
  private isOver = false;

  /** @param root what the host sees as /opt/ml */
  constructor(
    private readonly host: Host,
    config: Checked<CheckpointConfig>,
    private readonly root: string,
  ) {
    this.part = checkpointFolder(config);
    this.folder = join(root, this.part);
    this.uri = withSlash(config.S3Uri);
  }

  /** Brings what S3 has. */
  async restore(role: Caller): Promise<void> {
    await clientSide('Checkpoint download failed', () => download(this.host, role, this.uri, this.folder, false));
    this.known = await timesBelow(this.folder);
  }

  /** Brings to S3 what has changed: once at a time, and never again after {@link finish}. */
  save(role: Caller): Promise<void> {
    if (!this.isOver) this.running = this.running.catch(() => {}).then(() => this.saveNow(role));
    return this.running;
  }

  /** Saves for the last time; nothing any more where the host is lost. From then on the folder may go. */
  async finish(role: Caller, isLost: boolean): Promise<void> {
    const last = isLost ? this.running.catch(() => {}) : this.save(role);
    this.isOver = true;
    await last;
  }

  private async saveNow(role: Caller): Promise<void> {
    await clientSide('Checkpoint upload failed', async () =>
      uploadFolder(this.host, role, await ownPart(this.root, this.part), this.uri, { seen: this.known }),
    );
    const here = new Set(await filesBelow(this.folder));
    const { bucket, key: prefix } = s3Uri(this.uri);
    for (const path of [...this.known.keys()].filter((path) => !here.has(path))) {
      await clientSide('Checkpoint deletion failed', () =>
        this.host.context.call('s3', 'DeleteObject', { Bucket: bucket, Key: `${prefix}${path}` }, role),
      );
      this.known.delete(path);
    }
  }
}
