/** Sequences in which the model once differed from the kernel: it must not again. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLog, logsIn, playLog } from '../../src/fuzz/index.ts';

const LOGS = logsIn(readFileSync(new URL('fuzzed.ops', import.meta.url), 'utf8'));

describe('what fuzzing found', () => {
  it.each(LOGS.map((log) => [log.split('\n')[0] ?? '', log]))('is as on the kernel: %s', (_, log) => {
    expect(checkLog(log, { verify: 'every' })).toBeNull();
    const { results, vmas, counts } = playLog(log).compared;
    expect(results + vmas + counts).toBeGreaterThan(0);
  });
});
