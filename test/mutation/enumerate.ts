import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { mutantsOf } from './mutants';
import { VARIANTS } from './variants';

test('the mutants are listed', () => {
  const mutants = new Map<string, object>();
  for (const [variant, template] of Object.entries(VARIANTS)) {
    for (const { id, group, before } of mutantsOf(template())) {
      const hash = createHash('sha256').update(JSON.stringify(before)).digest('hex').slice(0, 12);
      if (!mutants.has(id)) mutants.set(id, { id, group, variant, hash });
    }
  }
  writeFileSync(process.env.MUTANTS as string, JSON.stringify([...mutants.values()]));
}, 600_000);
