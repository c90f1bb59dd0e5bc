/**
 * What a difference leaves behind: a sequence of test/spec/fuzzed.ops with the kernel's answers, and above it what was wrong.
 */
import type { ShrunkOps } from './opsShrink.ts';
import type { FuzzOptions } from './sequence.ts';

/**
 * Writes a row of test/spec/fuzzed.ops.
 * @param shrunk  a short sequence in which model and kernel differ
 * @param from    the sequence that it was cut down from, for a line that draws it again; null: it was none of ours
 * @returns       lines that begin with `#`, then the log, and an empty line
 */
export function specRow(shrunk: ShrunkOps, from: FuzzOptions | null = null): string {
  const { what, kernel, ours } = shrunk.difference;
  const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, '; ');
  const rows = [
    `# ${oneLine(what)}`,
    `#   kernel  ${oneLine(kernel)}`,
    `#   ours    ${oneLine(ours)}`,
    ...(from === null
      ? []
      : [
          `#   again   npx faultline fuzz --mode ${from.mode} --seed ${from.seed} --ops ${from.ops} --every ${from.every}`,
        ]),
  ];
  return `${rows.join('\n')}\n${shrunk.log.trimEnd()}\n\n`;
}
