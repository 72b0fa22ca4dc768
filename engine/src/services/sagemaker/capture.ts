import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller, Shape } from '../../service';
import { type Host, now, s3Uri } from './host';
import type { CapturesConfig } from './requests';

/** Real milliseconds after which captured lines are stored, so that a monitor sees them soon. */
const FLUSH_MS = 500;
/** Lines of one file at most. */
const FLUSH_LINES = 1_000;

interface Side {
  readonly contentType: string;
  readonly body: Buffer;
}

/** Keeps a share of an endpoint's requests and answers in S3, as SageMaker's data capture does. */
export class Capture {
  private lines = new Map<string, string[]>();
  /** Ends the wait before the next flush; unset while nothing waits. */
  private hurry: AbortController | undefined;
  /** Ends once nothing that was captured is still to be stored. */
  private storing: Promise<void> = Promise.resolve();

  constructor(
    private readonly host: Host,
    private readonly endpoint: string,
    private readonly variant: string,
    private readonly config: CapturesConfig,
    private readonly role: Caller,
  ) {}

  /** Notes one exchange, if it is drawn. */
  record(input: Side, output: Side, inferenceId?: string): void {
    const { EnableCapture = true, InitialSamplingPercentage: percentage } = this.config;
    if (!EnableCapture || this.host.context.random() * 100 >= percentage) return;
    const modes = this.config.CaptureOptions.map((option) => option.CaptureMode);
    const both = modes.includes('InputAndOutput');
    const at = now(this.host);
    const line = JSON.stringify({
      captureData: {
        ...((both || modes.includes('Input')) && { endpointInput: this.shown(input, 'INPUT') }),
        ...((both || modes.includes('Output')) && { endpointOutput: this.shown(output, 'OUTPUT') }),
      },
      eventMetadata: {
        eventId: randomUUID(),
        ...(inferenceId !== undefined && { inferenceId }),
        inferenceTime: `${at.toISOString().slice(0, 19)}Z`,
      },
      eventVersion: '0',
    });
    const hour = at.toISOString().slice(0, 13).replace(/[-T]/g, '/');
    const lines = this.lines.get(hour) ?? [];
    lines.push(line);
    this.lines.set(hour, lines);
    if (this.hurry === undefined) {
      const hurry = new AbortController();
      this.hurry = hurry;
      // in the background, so that whoever waits for the engine to be idle finds the lines in S3
      this.host.context.background('data capture', () => {
        this.storing = this.storing.then(() => this.storeLater(hurry));
        return this.storing;
      });
    }
    if (lines.length >= FLUSH_LINES) void this.flush();
  }

  /** Stores at once what has been captured. */
  flush(): Promise<void> {
    this.hurry?.abort();
    return this.storing;
  }

  private async storeLater(hurry: AbortController): Promise<void> {
    await sleep(FLUSH_MS, undefined, { signal: hurry.signal }).catch(() => {});
    const taken = this.lines;
    this.lines = new Map();
    this.hurry = undefined;
    await this.store(taken);
  }

  private async store(taken: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const { DestinationS3Uri, KmsKeyId } = this.config;
    const { bucket, key } = s3Uri(DestinationS3Uri);
    const root = key === '' ? '' : `${key.replace(/\/$/, '')}/`;
    for (const [hour, lines] of taken) {
      const at = now(this.host);
      const file = `${at.toISOString().slice(14, 23).replace(/[:.]/g, '-')}-${randomUUID()}.jsonl`;
      const target = `${root}${this.endpoint}/${this.variant}/${hour}/${file}`;
      try {
        const body = Buffer.from(`${lines.join('\n')}\n`);
        await this.host.objects.put(bucket, target, body, this.role, KmsKeyId || undefined);
      } catch (error) {
        // requests go on being answered; SageMaker too only writes to the endpoint's log
        this.host.context.log('sagemaker', `data capture of ${this.endpoint} failed: ${(error as Error).message}`);
      }
    }
  }

  private shown({ contentType, body }: Side, mode: string): Shape {
    const { CsvContentTypes = [], JsonContentTypes = [] } = this.config.CaptureContentTypeHeader ?? {};
    const type = contentType.split(';')[0].trim().toLowerCase();
    const encoding = CsvContentTypes.includes(type) ? 'CSV' : JsonContentTypes.includes(type) ? 'JSON' : 'BASE64';
    const data = body.toString(encoding === 'BASE64' ? 'base64' : 'utf8');
    return { observedContentType: contentType, mode, data, encoding };
  }
}
