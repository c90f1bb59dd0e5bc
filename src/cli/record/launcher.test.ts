import { describe, expect, it } from 'vitest';
import { heldExecve, type Launch, straceArguments } from './launcher.ts';

const LAUNCH: Launch = {
  bash: '/bin/bash',
  env: '/usr/bin/env',
  setarch: null,
  variables: ['A=b c'],
  argv: ['/bin/true', '--x'],
  user: null,
  holdStartMs: 600,
  holdExit: false,
  output: '/tmp/raw',
};

describe('the command line of strace', () => {
  it('ends with the launcher, the variables and the program, each an argument of its own', () => {
    expect(straceArguments(LAUNCH).slice(-5)).toEqual([
      'faultline-launcher',
      '/usr/bin/env',
      'A=b c',
      '/bin/true',
      '--x',
    ]);
  });

  it('holds one execve later for a wrapper, and all after it', () => {
    const first = heldExecve(LAUNCH);
    expect(heldExecve({ ...LAUNCH, setarch: '/usr/bin/setarch' })).toBe(first + 1);
    expect(straceArguments(LAUNCH)).toContain(`-einject=execve:delay_exit=600000:when=${first}+`);
  });

  it('holds exit_group only if the recording ends there', () => {
    const holds = (launch: Launch): boolean =>
      straceArguments(launch).some((arg) => arg.includes('inject=exit_group'));
    expect(holds(LAUNCH)).toBe(false);
    expect(holds({ ...LAUNCH, holdExit: true })).toBe(true);
  });
});
