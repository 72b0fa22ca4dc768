import type { Matcher, Retrier } from './retry';

/** Anything that may be written as a value or as `{% … %}`. */
export type Template = unknown;

/** A state of the Amazon States Language, in the JSONata query language. */
export interface State {
  readonly Type: 'Pass' | 'Succeed' | 'Fail' | 'Choice' | 'Wait' | 'Task' | 'Parallel' | 'Map';
  readonly QueryLanguage?: string;
  readonly Next?: string;
  readonly End?: boolean;
  readonly Assign?: Template;
  readonly Output?: Template;
  /** Of a Pass of JSONPath, whose output it is. */
  readonly Result?: unknown;
  readonly Arguments?: Template;
  readonly Retry?: readonly Retrier[];
  readonly Catch?: readonly Catcher[];
  // Task
  readonly Resource?: string;
  readonly TimeoutSeconds?: Template;
  readonly HeartbeatSeconds?: Template;
  readonly Credentials?: Template;
  // Fail
  readonly Error?: Template;
  readonly Cause?: Template;
  // Choice
  readonly Choices?: readonly Rule[];
  readonly Default?: string;
  // Wait
  readonly Seconds?: Template;
  readonly Timestamp?: Template;
  // Parallel
  readonly Branches?: readonly Machine[];
  // Map
  readonly Items?: Template;
  readonly ItemSelector?: Template;
  readonly ItemProcessor?: Machine & { readonly ProcessorConfig?: { readonly Mode?: string } };
  readonly ItemReader?: Reader;
  readonly ItemBatcher?: Template;
  readonly ResultWriter?: Writer;
  readonly MaxConcurrency?: Template;
  readonly ToleratedFailureCount?: Template;
  readonly ToleratedFailurePercentage?: Template;
  readonly Label?: string;
}

export interface Rule {
  readonly Condition: Template;
  readonly Next: string;
  readonly Assign?: Template;
  readonly Output?: Template;
}

export interface Catcher extends Matcher {
  readonly Next: string;
  readonly Assign?: Template;
  readonly Output?: Template;
}

export interface Reader {
  readonly Resource: string;
  readonly Arguments?: Template;
  readonly ReaderConfig?: Template;
}

export interface Writer {
  readonly Resource?: string;
  readonly Arguments?: Template;
  readonly WriterConfig?: Template;
}

/** A state machine, or the states of a branch. */
export interface Machine {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
  readonly QueryLanguage?: string;
  readonly TimeoutSeconds?: number;
}

/** Every state of a machine, those of branches and processors too. */
export function* statesOf(machine: Machine): Generator<State> {
  for (const state of Object.values(machine.States)) {
    yield state;
    for (const branch of state.Branches ?? []) yield* statesOf(branch);
    if (state.ItemProcessor !== undefined) yield* statesOf(state.ItemProcessor);
  }
}
