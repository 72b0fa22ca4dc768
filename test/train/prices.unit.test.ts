import { describe, expect, test } from 'vitest';
import { capacityPrice, costOf } from '../../lib/core/train/attempts';
import { trainingPrice, usd } from '../../lib/core/train/prices';

const option = (instanceType: string, count = 1) => ({
  label: instanceType,
  instances: [{ instanceType, count }],
  spot: false,
  maxRuntimeSeconds: 3600,
});

describe('prices', () => {
  test('are known by region, with their date and where they come from', () => {
    expect(trainingPrice('us-east-1', 'ml.g5.2xlarge')).toEqual({
      instanceType: 'ml.g5.2xlarge',
      usdPerHour: 1.515,
      asOf: '2026-08-20',
      source: 'list',
    });
  });

  test('are unknown rather than guessed', () => {
    expect(trainingPrice('us-east-1', 'ml.p5.48xlarge')).toBeUndefined();
    expect(trainingPrice('eu-west-1', 'ml.g5.2xlarge')).toBeUndefined();
    expect(usd(undefined)).toBe('unknown');
  });

  test('that the app tells go before', () => {
    expect(trainingPrice('us-east-1', 'ml.g5.2xlarge', { 'ml.g5.2xlarge': 1 })).toMatchObject({
      usdPerHour: 1,
      source: 'own',
    });
    expect(trainingPrice('eu-west-1', 'ml.g5.2xlarge', { 'ml.g5.2xlarge': 0 })?.usdPerHour).toBe(0);
  });

  test('count every machine of a capacity option, and none if one is unknown', () => {
    expect(capacityPrice(option('ml.g5.2xlarge', 4), 'us-east-1')).toBeCloseTo((4 * 1.515) / 3600, 12);
    const mixed = {
      ...option('ml.g5.2xlarge'),
      instances: [
        { instanceType: 'ml.g5.2xlarge', count: 1 },
        { instanceType: 'ml.m5.large', count: 2 },
      ],
    };
    expect(costOf(mixed, 3600, 'us-east-1')).toBeCloseTo(1.515 + 0.23, 12);
    expect(
      costOf(
        { ...mixed, instances: [...mixed.instances, { instanceType: 'ml.p5.4xlarge', count: 1 }] },
        3600,
        'us-east-1',
      ),
    ).toBeUndefined();
  });

  test('are written as a person reads them', () => {
    expect([0, 0.0123, 1.5, 1234.567].map(usd)).toEqual(['0.00 USD', '0.0123 USD', '1.50 USD', '1,234.57 USD']);
  });
});
