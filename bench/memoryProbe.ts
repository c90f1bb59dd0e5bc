/**
 * memoryProbe PAGES STRIDE: touches PAGES pages, STRIDE pages apart, and prints as JSON how many bytes more are in use afterwards. Wants --expose-gc.
 */
import { MADV_NOHUGEPAGE, MAP_NORESERVE } from '../src/abi/mman.ts';
import { BASE, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import type { Probed } from './memory.ts';

const [pages = 0, stride = 0] = process.argv.slice(2).map(Number);

/** Bytes in use, on the heap and in buffers, after a collection. */
function bytesInUse(): number {
  if (globalThis.gc === undefined) throw new Error('memoryProbe wants --expose-gc');
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const { machine, mm } = newMachine();
const len = pages * stride * PAGE;
mapAt(machine, BASE, len, FIXED_PRIVATE | MAP_NORESERVE);
machine.apply(PID, { call: 'madvise', addr: BASE, len, advice: MADV_NOHUGEPAGE });
const touch = (i: number): void => {
  const addr = BASE + i * stride * PAGE;
  machine.apply(PID, { call: 'touch', addr, len: PAGE, access: 'write', stamp: i + 1, by: 'user' });
};
// Once through the code, so that what it needs is there before; then the page is given back.
touch(0);
machine.apply(PID, { call: 'munmap', addr: BASE, len });
mapAt(machine, BASE, len, FIXED_PRIVATE | MAP_NORESERVE);
machine.apply(PID, { call: 'madvise', addr: BASE, len, advice: MADV_NOHUGEPAGE });
const before = bytesInUse();
for (let i = 0; i < pages; i++) touch(i);
const bytes = bytesInUse() - before;
const probed: Probed = { bytes, resident: mm.rssAnon, tableBytes: mm.pages.bytes };
console.log(JSON.stringify(probed));
