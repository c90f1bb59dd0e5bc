/**
 * Views without a past: a live process, or a maps or smaps text.
 */
import { readFileSync } from 'node:fs';
import { UsageError } from '../../base/assert.ts';
import { filesInMemory, mapsItems, type ReplayItem } from '../../replay/index.ts';
import type { View } from '../../whatif/visibleText.ts';
import type { CliInput } from '../inputs.ts';

/** Tells whether an argument is a process id. */
export const isPid = (text: string): boolean => /^\d+$/.test(text);

/** Reads the address space of a living process: smaps, or maps where smaps may not be read. */
export function viewOfProcess(pid: string): View {
  const smaps = readProc(pid, 'smaps');
  const text = smaps ?? readProc(pid, 'maps');
  if (text === null || text === '')
    throw new UsageError(
      text === null
        ? `cannot read /proc/${pid}/maps`
        : `process ${pid} has no memory of its own: it is a thread of the kernel or has ended`,
      'the id of a living process of yours (or any, as root), a maps text, or an input',
    );
  const files = filesInMemory(`/proc/${pid}/${smaps === null ? 'maps' : 'smaps'}`, { '': text });
  const name = `process ${pid} (${readProc(pid, 'comm')?.trim() ?? '?'})`;
  return viewIn(name, mapsItems(files, '', smaps !== null));
}

function readProc(pid: string, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return null;
  }
}

/** Returns the view that an input of the format maps or smaps is, or null for any other input. */
export function viewOfInput(input: CliInput): View | null {
  if (input.kind !== 'items' || (input.format !== 'maps' && input.format !== 'smaps')) return null;
  return viewIn(input.name, input.items());
}

/** Refuses an input in which nothing happens that could go another way: a view, or page faults alone. */
export function refuseWithoutCalls(input: CliInput): void {
  if (input.kind !== 'items') return;
  const { format, name } = input;
  const wanted = 'a recording directory, or a file of strace, ops or our bpftrace script';
  if (format === 'maps' || format === 'smaps')
    throw new UsageError(
      `${name} is a view: nothing happens in it that could go another way`,
      `${wanted}; what can be seen in a view: faultline explain ${name}`,
    );
  if (format === 'perf')
    throw new UsageError(`${name} has page faults alone, which do not say what is mapped`, wanted);
}

function viewIn(name: string, items: Iterable<ReplayItem>): View {
  for (const item of items)
    if (item.kind === 'start' && item.state !== null) return { name, vmas: item.state.vmas };
  return { name, vmas: [] };
}
