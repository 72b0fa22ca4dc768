import { expect, test } from 'vitest';
import { hasLocalDisk, processesOn } from '../../engine/src/services/sagemaker/instances';
import { instanceOf, similarInstances } from '../../lib/core/train/instances';

test('the engine knows the same instances as the constructs', () => {
  const types = [...'tmcrgp'].flatMap((letter) => similarInstances(`ml.${letter}`));
  expect(types.length).toBeGreaterThan(150);
  const known = types.map((type) => [type, Math.max(1, instanceOf(type)?.gpus ?? 0), instanceOf(type)?.localDisk]);
  expect(types.map((type) => [type, processesOn(type), hasLocalDisk(type)])).toEqual(known);
});
