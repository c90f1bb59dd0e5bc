/**
 * Operations with arguments that are mostly refused: unaligned, zero, wrapping around 64 bits, beyond the end of the address space.
 */
import type { Scene, Steps } from './draws.ts';

const HARMLESS = ['POPULATE_READ', '26', '5'];
const ANY = [
  'DONTNEED',
  'FREE',
  'DONTFORK',
  'WIPEONFORK',
  'POPULATE_WRITE',
  'COLLAPSE',
  'HUGEPAGE',
  'COLD',
  '26',
  '5',
];
const MOST_MINCORE = 512;

/** Draws one such operation. */
export function* refusedArguments({ rng, places }: Scene): Steps {
  const [a, n] = places.range();
  const to = places.page();
  const addr = rng.pick([`${a}+100`, `${a}`, `${a}`, '0x7ffffffff000', '0xfffffffffffff000', '0x0']);
  const len = rng.pick([
    '0',
    '1b',
    `${n * 4096 - 1}b`,
    `${n}`,
    '0xffffffffffffffff',
    '0xfffffffffffff000',
    '0xffffffffffffe000',
    '0x8000000000000000',
    '0x7fffffffffff',
    '0x7ffffffff000',
  ]);
  // What reaches far beyond the window must not hit the program itself.
  const far = /^0x[78]/.test(len) || addr === '0x0';
  const texts = [
    `unmap ${addr === '0x0' || len === '0x7ffffffff000' ? a : addr} ${len}`,
    `prot ${addr} ${len} ${rng.pick(['r', 'rw', 'rq', 'rd', 'ru', 'rdu'])}`,
    `adv ${addr} ${len} ${rng.pick(far ? HARMLESS : ANY)}`,
    `lock2 ${addr} ${len} ${rng.below(3)}`,
    `unlock ${addr} ${len}`,
    `msync ${addr} ${len} ${rng.below(9)}`,
    `mincore ${addr} ${n > MOST_MINCORE ? 0 : len}`,
    `remap ${addr} ${len} ${n} ${rng.pick(['0', 'm', 'mf', 'f', 'd', 'md', 'mdf', 'x'])} ${a}`,
    `remap ${addr} ${n} ${len} ${rng.pick(['0', 'mf', 'f', 'd', 'md', 'mdf'])} ${to}`,
    `remap ${a} ${n} ${n} ${rng.pick(['mf', 'mdf'])} ${addr}`,
    `map ${addr} ${len} rw ${rng.pick(['pr', '4f', 'vr', 'f', 'sgr', 'Dgr', 'pH', 'prH', '4fH'])}`,
  ];
  yield rng.pick(texts);
}
