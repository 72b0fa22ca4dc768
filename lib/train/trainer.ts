import type { Construct } from 'constructs';
import type {
  ContainerTrainerProps,
  PyTorchTrainerProps,
  TabularTrainerProps,
  TrainerConfig,
  XGBoostTrainerProps,
} from './trainer-props';
import { container, pytorch, tabular, xgboost } from './trainers';

/**
 * How a model is trained: an algorithm, its parameters and the machines it runs on.
 *
 * All of them find Parquet in the channels `train` and `validation` (the features in the contract's order, the target
 * last) and a folder `/opt/ml/checkpoints` that outlives the machine: what is there, a job of the same run goes on from.
 */
export interface ITrainer {
  /** Makes the assets that the trainer needs, and says how its jobs are started. */
  bind(scope: Construct): TrainerConfig;
}

/** The trainers that this package brings. One of your own is anything that implements {@link ITrainer}. */
export class Trainer {
  /** Gradient-boosted trees in SageMaker's XGBoost container, on the GPU where the machine has one. */
  public static xgboost(props: XGBoostTrainerProps = {}): ITrainer {
    return new BoundTrainer((scope) => xgboost(scope, props));
  }

  /**
   * An ensemble of neural networks for tables, in AWS's PyTorch container: on all GPUs of all machines together, or
   * without one. It is served in SageMaker's XGBoost container, for it needs no PyTorch any more.
   */
  public static tabular(props: TabularTrainerProps = {}): ITrainer {
    return new BoundTrainer((scope) => tabular(scope, props));
  }

  /**
   * A script of one's own in AWS's PyTorch container (2.13).
   *
   * It writes the model to `SM_MODEL_DIR`, and what serves it to `code/inference.py` below: `model_fn(model_dir)`,
   * `input_fn(body, content_type)`, `predict_fn(data, model)` and `output_fn(prediction, accept)`. A request is CSV
   * without a header: the key, if the contract has one, then the features in their order. The answer is one number a line.
   */
  public static pytorch(props: PyTorchTrainerProps): ITrainer {
    return new BoundTrainer((scope) => pytorch(scope, props));
  }

  /**
   * An image of one's own, which SageMaker starts with `train`; and, unless another one serves, with `serve`.
   *
   * It writes the model to `/opt/ml/model`. A request for scores is CSV without a header: the key, if the contract has
   * one, then the features in their order. The answer is one number a line.
   */
  public static container(props: ContainerTrainerProps): ITrainer {
    return new BoundTrainer((scope) => container(scope, props));
  }

  private constructor() {}
}

class BoundTrainer implements ITrainer {
  constructor(private readonly config: (scope: Construct) => TrainerConfig) {}

  public bind(scope: Construct): TrainerConfig {
    return this.config(scope);
  }
}
