import type { Construct } from 'constructs';
import { realTimeEndpoint } from './endpoint/real-time-endpoint';
import type { RealTimeEndpointProps, ServingTargetConfig, ServingTargetOptions } from './serving-target-props';

/** Where approved versions serve. */
export interface IServingTarget {
  /**
   * Makes what the target needs, and says how a version is brought to serve there. What it returns is checked.
   *
   * @param scope the deployment
   */
  bind(scope: Construct, options: ServingTargetOptions): ServingTargetConfig;
}

/** The serving targets that this package brings. One of your own is anything that implements {@link IServingTarget}. */
export class ServingTarget {
  /**
   * A real-time endpoint of SageMaker's, which is updated blue/green: alarms on errors and latency, a smoke test that
   * fails or an approval that is withdrawn bring the model before back.
   */
  public static realTimeEndpoint(props: RealTimeEndpointProps = {}): IServingTarget {
    return new BoundTarget((scope, options) => realTimeEndpoint(scope, options, props));
  }

  private constructor() {}
}

class BoundTarget implements IServingTarget {
  constructor(private readonly config: (scope: Construct, options: ServingTargetOptions) => ServingTargetConfig) {}

  public bind(scope: Construct, options: ServingTargetOptions): ServingTargetConfig {
    return this.config(scope, options);
  }
}
