/**
 * Tells what a file is by its first lines.
 */
import { UsageError } from '../base/assert.ts';
import { BPFTRACE_HEADER } from './bpftraceReader.ts';
import type { InputFormat } from './item.ts';

/** How many lines are enough; more may be given. */
export const NR_DETECT_LINES = 50;

const MAPS_LINE = /^[0-9a-f]{1,16}-[0-9a-f]{1,16} [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]+:[0-9a-f]+ \d+( |$)/;
const PERF_LINE = /\d+\.\d{6,9}:\s+(exceptions:)?page_fault_(user|kernel):/;
const STRACE_LINE =
  /^(\[pid +\d+\S*\] |\d+(<[^>]*>)? +)?( *\d[\d:.]*( \(\+ +[\d.]+\))? )?(\[[^\]]*\] )*([a-z_][a-z0-9_]*\(.*|<\.\.\. \w+ resumed>.*|--- .* ---|\+\+\+ .* \+\+\+)$/;

/** Returns the format of a file that begins with these lines, null if it is none of ours. Blank lines do not count. */
export function detectFormat(firstLines: readonly string[]): InputFormat | null {
  const lines = firstLines.map((line) => line.trimEnd()).filter((line) => line !== '');
  // Remarks may come before the first line of an ops file.
  const begin = lines.findIndex((line) => !line.startsWith('#') || line.startsWith('# opfuzz'));
  const first = lines[begin] ?? lines[0];
  if (first === undefined) return null;
  if (first.startsWith('# opfuzz-uffd ')) return 'opfuzz-uffd';
  if (first.startsWith('# opfuzz ')) return 'opfuzz';
  if (lines.some((line) => line.startsWith(BPFTRACE_HEADER))) return 'bpftrace';
  if (MAPS_LINE.test(first))
    return lines.some((line) => line.startsWith('VmFlags:') || /^Size: +\d+ kB$/.test(line))
      ? 'smaps'
      : 'maps';
  if (lines.some((line) => PERF_LINE.test(line))) return 'perf';
  return lines.some((line) => STRACE_LINE.test(line)) ? 'strace' : null;
}

/** Returns the format as detectFormat does; refuses a file that has none, with what would be right. */
export function requireFormat(firstLines: readonly string[], file: string): InputFormat {
  const format = detectFormat(firstLines);
  if (format !== null) return format;
  if (firstLines.some((line) => line.startsWith('% time '))) {
    throw new UsageError('this is a summary of strace -c, which lists no calls', 'strace without -c', {
      file,
      line: 1,
      column: 1,
    });
  }
  const problem = firstLines.length === 0 ? 'the file is empty' : 'this is no format that can be read';
  const wanted =
    'a recording directory, or a file of strace, perf script (page faults), /proc/PID/maps or smaps, opfuzz or our bpftrace script';
  throw new UsageError(problem, wanted, { file, line: 1, column: 1 });
}
