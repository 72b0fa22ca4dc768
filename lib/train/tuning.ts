import { Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Problem } from '../core/problem';
import { directionOf, moreIsBetter, printedNames, validationMetric } from '../core/train/printed-metric';
import { type NumericRange, type Range, type SearchRules, suggestions, type TuningRules } from '../core/train/tuning';
import { noCount, outside, refuse } from '../private/validate';

/** The values that a hyperparameter may have. */
export class HyperparameterRange {
  /** A number between two others, both included. */
  public static number(name: string, min: number, max: number, logarithmic = false): HyperparameterRange {
    return new HyperparameterRange({ name, kind: 'number', min, max, logarithmic });
  }

  /** A whole number between two others, both included. */
  public static integer(name: string, min: number, max: number, logarithmic = false): HyperparameterRange {
    return new HyperparameterRange({ name, kind: 'integer', min, max, logarithmic });
  }

  /** One of some values. */
  public static choice(name: string, values: string[]): HyperparameterRange {
    return new HyperparameterRange({ name, kind: 'choice', values });
  }

  private constructor(private readonly range: Range) {}

  /** @internal */
  public get _range(): Range {
    return this.range;
  }

  /** What is wrong with the range. @internal */
  public get _mistakes(): string[] {
    const { range } = this;
    const { name } = range;
    const mistakes: Array<string | false> = [
      !/^[a-zA-Z0-9_.-]{1,256}$/.test(name) &&
        `ranges: a hyperparameter's name must be 1 to 256 letters, got '${name}'`,
      /^(problem|key|seed|sagemaker_.*)$/.test(name) &&
        `ranges: ${name} must not be varied, the pipeline sets it itself`,
    ];
    if (range.kind === 'choice') {
      mistakes.push(
        (range.values.length < 2 || range.values.length > 30) &&
          `ranges: ${name} must have 2 to 30 values, got ${range.values.length}`,
        ...range.values.map(
          (value) =>
            (value.length > 256 || value.includes('{%')) &&
            `ranges: values of ${name} must be up to 256 characters and no JSONata, got '${value.slice(0, 40)}'`,
        ),
      );
    } else if (!Token.isUnresolved(range.min) && !Token.isUnresolved(range.max)) {
      const { min, max, kind, logarithmic = false } = range;
      mistakes.push(
        !(min < max) && `ranges: ${name} must have a minimum below its maximum, got ${min} and ${max}`,
        logarithmic && !(min > 0) && `ranges: ${name} must be above 0 to be logarithmic, got a minimum of ${min}`,
        kind === 'integer' &&
          !(Number.isInteger(min) && Number.isInteger(max)) &&
          `ranges: ${name} must have whole bounds, got ${min} and ${max}`,
      );
    }
    return mistakes.filter((mistake) => mistake !== false);
  }
}

/** What is tried, and until when. */
export interface TuningProps {
  /** The hyperparameters that are varied. The trainer's own values are tried first. */
  readonly ranges: HyperparameterRange[];

  /** The most sets of hyperparameters that a run tries, its own among them: 2 to 100. */
  readonly maxTrials: number;

  /**
   * The metric that is looked at, by the name that the trainer gives it.
   *
   * Its last word tells which way it points: a metric of the target's problem (auc, f1, rmse), or `_score`, of which
   * more is better, `_loss` or `_error`, of which less is; `neg_` in front turns it round. Other names are refused.
   *
   * @default - 'validation:auc' for a binary target, 'validation:rmse' for a number
   */
  readonly metric?: string;

  /**
   * The value of the metric from which the model is good enough, so that nothing more is tried.
   *
   * @default - all trials are made
   */
  readonly target?: number;
}

/** How SageMaker chooses what its tuning job tries. */
export enum SearchStrategy {
  /** By what has been tried so far. */
  BAYESIAN = 'Bayesian',
  /** At random. */
  RANDOM = 'Random',
}

/** What a tuning job of SageMaker's tries, and how. */
export interface SageMakerTuningProps extends TuningProps {
  /**
   * How many training jobs run at once, 1 to 10. Each needs machines of its own.
   *
   * @default 2
   */
  readonly trialsAtOnce?: number;

  /**
   * How SageMaker chooses what is tried.
   *
   * @default SearchStrategy.BAYESIAN
   */
  readonly strategy?: SearchStrategy;
}

/** The members of a tuning job's request that say what is searched for. */
export interface SearchRequest {
  readonly config: Record<string, unknown>;
  /** The hyperparameters that are varied. */
  readonly names: string[];
  readonly maxTrials: number;
  readonly atOnce: number;
}

/**
 * The search for hyperparameters within a run: trials on the same data, until one is good enough or a bound is reached.
 *
 * Trials are compared on the validation rows, never on the holdout: a holdout that has chosen a model cannot judge it.
 */
export class Tuning {
  /**
   * One trial after another, each a training job that walks the capacity options, evenly over the ranges; the trainer's own
   * values first.
   */
  public static oneByOne(props: TuningProps): Tuning {
    return new Tuning(props);
  }

  /** A tuning job of SageMaker's, which makes its training jobs itself, several at once; it walks the capacity options as a whole. */
  public static sageMaker(props: SageMakerTuningProps): Tuning {
    return new Tuning(props, props);
  }

  private constructor(
    private readonly props: TuningProps,
    private readonly search?: SageMakerTuningProps,
  ) {}

  /** @internal */
  public _rules(scope: Construct, problem: Problem): { tuning?: TuningRules; search?: SearchRules } {
    const { ranges, maxTrials, target } = this.props;
    const metric = this.metric(problem);
    const names = ranges.map(({ _range }) => _range.name);
    refuse(scope, [
      (ranges.length < 1 || ranges.length > 20) && `tuning: ranges must be 1 to 20, got ${ranges.length}`,
      noCount(maxTrials, 2, 100) && `tuning: maxTrials must be a whole number from 2 to 100, got ${maxTrials}`,
      new Set(names).size < names.length && `tuning: each hyperparameter must have one range, got ${names.join(', ')}`,
      ...ranges.flatMap(({ _mistakes }) => _mistakes.map((mistake) => `tuning: ${mistake}`)),
      // of another problem's metrics none would be printed
      moreIsBetter(metric, [problem]) === undefined &&
        `tuning: metric must end in one of ${printedNames(problem)} for a ${problem.name} target, got '${metric}'`,
      target !== undefined &&
        outside(target, -Number.MAX_VALUE, Number.MAX_VALUE) &&
        `tuning: target must be a number, got ${target}`,
      this.search !== undefined &&
        noCount(this.search.trialsAtOnce ?? 2, 1, 10) &&
        `tuning: trialsAtOnce must be a whole number from 1 to 10, got ${this.search.trialsAtOnce}`,
    ]);
    const rules = { metric, ...(target !== undefined && { target }) };
    if (this.search !== undefined) return { search: { ...rules, maxTrials } };
    return {
      tuning: {
        ...rules,
        suggestions: suggestions(
          ranges.map(({ _range }) => _range),
          maxTrials,
        ),
      },
    };
  }

  /** As a tuning job's request has it; undefined for trials one by one. @internal */
  public _request(problem: Problem): SearchRequest | undefined {
    if (this.search === undefined) return undefined;
    const { ranges, maxTrials, target, trialsAtOnce = 2, strategy } = this.search;
    const all = ranges.map(({ _range }) => _range);
    const bounded = (kind: 'integer' | 'number') =>
      all
        .filter((range): range is NumericRange => range.kind === kind)
        .map(({ name, min, max, logarithmic }) => ({
          Name: name,
          MinValue: String(min),
          MaxValue: String(max),
          ScalingType: logarithmic ? 'Logarithmic' : 'Linear',
        }));
    const atOnce = Math.min(trialsAtOnce, maxTrials);
    return {
      names: ranges.map(({ _range }) => _range.name),
      maxTrials,
      atOnce,
      config: {
        Strategy: strategy ?? SearchStrategy.BAYESIAN,
        HyperParameterTuningJobObjective: {
          Type: directionOf(this.metric(problem)) ? 'Maximize' : 'Minimize',
          MetricName: this.metric(problem),
        },
        ResourceLimits: { MaxNumberOfTrainingJobs: maxTrials, MaxParallelTrainingJobs: atOnce },
        ParameterRanges: {
          IntegerParameterRanges: bounded('integer'),
          ContinuousParameterRanges: bounded('number'),
          CategoricalParameterRanges: all
            .filter((range) => range.kind === 'choice')
            .map(({ name, values }) => ({ Name: name, Values: values })),
        },
        ...(target !== undefined && { TuningJobCompletionCriteria: { TargetObjectiveMetricValue: target } }),
        RandomSeed: 42,
      },
    };
  }

  private metric(problem: Problem): string {
    return this.props.metric ?? validationMetric(problem);
  }
}
