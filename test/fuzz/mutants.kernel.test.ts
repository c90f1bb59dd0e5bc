/**
 * Some mutants hunted on the running kernel: one or two of each mode that are found at once. `npm run mutants` hunts all of them.
 */
import { describe, expect, it } from 'vitest';
import { leaveOut } from '../kernel/leftOut.ts';
import { buildOpsrun, whyNoOracle } from '../kernel/oracle.ts';
import { opsKernel } from '../random/opsKernel.ts';
import { Workshop } from './mutants/build.ts';
import { drawFor, hunt, SHORT } from './mutants/hunt.ts';
import { MUTANTS } from './mutants/list.ts';

const why = whyNoOracle();

/** Found at once and short soon, so that all of it stays below a minute. */
const QUICK: ReadonlySet<string> = new Set([
  'pgoff-of-split',
  'resize-populates',
  'populate-none',
  'dont-fork',
  'collapse-guard',
  'limit-data',
  'remove-private',
]);

describe.runIf(why === null)('the fuzzer', () => {
  it('finds mutants of the model and makes them short', async () => {
    const run = opsKernel(buildOpsrun());
    const workshop = new Workshop();
    const model = await workshop.build();
    for (const mutant of MUTANTS.filter(({ name }) => QUICK.has(name))) {
      const mutated = await workshop.build(mutant);
      const caught = hunt({ draw: drawFor(mutant.mode), mutated, model, run, seconds: 30 });
      expect(caught.seed, mutant.name).not.toBeNull();
      expect(caught.lines.length, caught.lines.join('\n')).toBeLessThanOrEqual(SHORT);
    }
    workshop.remove();
  }, 180_000);
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `mutants on the running kernel: ${why}`);
  expect(why).toBeNull();
});
