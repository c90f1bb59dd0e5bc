/**
 * Golden files: what the program printed when somebody last read it. `UPDATE_GOLDEN=1` rewrites them; the difference is read in review.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { ROOT } from './program.ts';

/** Expects `text` to be what `test/golden/NAME` holds. */
export function expectGolden(name: string, text: string): void {
  const path = join(ROOT, 'test/golden', name);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  expect(text).toBe(readFileSync(path, 'utf8'));
}
