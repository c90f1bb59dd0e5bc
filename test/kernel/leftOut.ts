/**
 * What a test does that cannot run here: it says so in one line, and is an error where nothing may be left out (CI=true).
 */
import { expect, type TestContext } from 'vitest';

/** Leaves the test out because of `why`, in one line; fails instead when CI=true. */
export function leaveOut(context: TestContext, why: string): never {
  expect(process.env['CI'], why).not.toBe('true');
  console.warn(`left out: ${why}`);
  context.skip(why);
}
