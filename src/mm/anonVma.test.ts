import { describe, expect, it } from 'vitest';
import { must } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import {
  type AnonVma,
  adoptAnonVma,
  cloneAnonVma,
  forkAnonVma,
  isForkChild,
  isUnsharedAnonVma,
  prepareAnonVma,
  unlinkAnonVmas,
} from './anonVma.ts';
import type { MmEvent } from './events.ts';
import { Kernel } from './kernel.ts';
import { linkVma, Mm } from './mm.ts';
import { Vma } from './vma.ts';
import { VM_EXEC, VM_MAY_ALL, VM_MAYBE_GUARD, VM_NOHUGEPAGE, VM_READ, VM_WRITE } from './vmFlags.ts';

const RW = VM_MAY_ALL | VM_READ | VM_WRITE;

/** Touching vmas of one page each, from page 16 on, with these flags. */
function row(...flags: readonly number[]): { kernel: Kernel; mm: Mm; vmas: Vma[]; events: MmEvent[] } {
  const kernel = new Kernel();
  const events: MmEvent[] = [];
  const mm = new Mm(kernel);
  const vmas = flags.map((one, i) => vmaAt(kernel, 16 + i, one));
  for (const vma of vmas) linkVma(mm, vma, 'initial');
  kernel.emit = (event) => events.push(event);
  return { kernel, mm, vmas, events };
}
const vmaAt = (kernel: Kernel, page: number, flags = RW): Vma =>
  new Vma(kernel.nextVmaId(), {
    start: page * PAGE_SIZE,
    end: (page + 1) * PAGE_SIZE,
    flags,
    pgoff: page,
    file: null,
  });
const of = (vma: Vma | undefined): AnonVma => must(vma?.anonVma, 'it was prepared');

/** Makes `vma` the child of some other vma. */
function comeByFork(kernel: Kernel, vma: Vma): void {
  const parent = vmaAt(kernel, 50);
  prepareAnonVma(kernel, parent);
  unlinkAnonVmas(kernel, vma);
  forkAnonVma(kernel, vma, parent);
}

describe('the first write in a vma', () => {
  it('makes a root of its own, once', () => {
    const { kernel, vmas, events } = row(RW);
    const [vma] = vmas as [Vma];
    prepareAnonVma(kernel, vma);
    prepareAnonVma(kernel, vma);
    const anonVma = of(vma);
    expect([anonVma.root, anonVma.parent, vma.chain]).toEqual([anonVma, anonVma, [anonVma]]);
    expect([anonVma.nrActiveVmas, anonVma.attached.size, anonVma.nrChildren]).toEqual([1, 1, 1]);
    expect(events.map(({ kind }) => kind)).toEqual(['anonVmaCreate']);
  });
  it('shares that of a neighbour that differs in access alone, the one above first', () => {
    const { kernel, vmas, events } = row(RW, RW | VM_EXEC, RW);
    const [below, middle, above] = vmas as [Vma, Vma, Vma];
    prepareAnonVma(kernel, below);
    prepareAnonVma(kernel, above);
    prepareAnonVma(kernel, middle);
    expect(of(middle)).toBe(of(above));
    expect(of(below)).not.toBe(of(above));
    expect(events.at(-1)).toMatchObject({ kind: 'anonVmaShare', from: above.id });
  });
  it('shares that of the one below where the one above has none', () => {
    const { kernel, vmas } = row(RW, RW | VM_EXEC, RW);
    prepareAnonVma(kernel, vmas[0] as Vma);
    prepareAnonVma(kernel, vmas[1] as Vma);
    expect(of(vmas[1])).toBe(of(vmas[0]));
  });
  it.each<[string, (kernel: Kernel, a: Vma, b: Vma) => void]>([
    ['other flags', (_kernel, _a, b) => (b.flags |= VM_NOHUGEPAGE)],
    ['a gap in the page offsets', (_kernel, _a, b) => b.pgoff++],
    ['another policy', (_kernel, _a, b) => (b.policy = '2:0')],
    ['a longer chain', comeByFork],
  ])('shares nothing over %s', (_what, differ) => {
    const { kernel, vmas } = row(RW, RW);
    const [a, b] = vmas as [Vma, Vma];
    prepareAnonVma(kernel, a);
    differ(kernel, a, b);
    prepareAnonVma(kernel, b);
    expect(of(b)).not.toBe(of(a));
  });
  it('does not look at flags that are ignored', () => {
    const { kernel, vmas } = row(RW | VM_MAYBE_GUARD, RW);
    prepareAnonVma(kernel, vmas[0] as Vma);
    prepareAnonVma(kernel, vmas[1] as Vma);
    expect(of(vmas[1])).toBe(of(vmas[0]));
  });
});

describe('fork', () => {
  /** A written parent and its line of descent. */
  function family(generations: number): { kernel: Kernel; line: Vma[] } {
    const kernel = new Kernel();
    const line = [vmaAt(kernel, 16)];
    prepareAnonVma(kernel, line[0] as Vma);
    for (let i = 0; i < generations; i++) {
      const child = vmaAt(kernel, 16);
      forkAnonVma(kernel, child, line[i] as Vma);
      line.push(child);
    }
    return { kernel, line };
  }

  it('makes the chain one longer with each generation, under one root', () => {
    const { line } = family(3);
    expect(line.map(({ chain }) => chain.length)).toEqual([1, 2, 3, 4]);
    expect(line.map(isForkChild)).toEqual([false, true, true, true]);
    for (const [i, vma] of line.entries()) {
      expect(of(vma).root).toBe(of(line[0]));
      if (i > 0) expect(of(vma).parent).toBe(of(line[i - 1]));
    }
  });
  it('leaves an unwritten vma unwritten', () => {
    const kernel = new Kernel();
    const child = vmaAt(kernel, 16);
    forkAnonVma(kernel, child, vmaAt(kernel, 16));
    expect([child.anonVma, child.chain]).toEqual([null, []]);
  });
  it('adopts an anon_vma of the chain that nobody has as its own any more', () => {
    const { kernel, line } = family(2);
    const [, middle, last] = line as [Vma, Vma, Vma];
    const left = of(middle);
    unlinkAnonVmas(kernel, middle);
    const child = vmaAt(kernel, 16);
    forkAnonVma(kernel, child, last);
    expect([of(child), child.chain.length]).toEqual([left, 3]);
  });
  it('does not adopt one that has two children', () => {
    const { kernel, line } = family(1);
    const [, middle] = line as [Vma, Vma];
    const children = [vmaAt(kernel, 16), vmaAt(kernel, 16)];
    for (const child of children) forkAnonVma(kernel, child, middle);
    const left = of(middle);
    unlinkAnonVmas(kernel, middle);
    const grandchild = vmaAt(kernel, 16);
    forkAnonVma(kernel, grandchild, children[0] as Vma);
    expect(of(grandchild)).not.toBe(left);
    expect(grandchild.chain.length).toBe(4);
  });
  it('makes the parent shared until the child is gone, and the child for ever', () => {
    const { kernel, line } = family(1);
    const [parent, child] = line as [Vma, Vma];
    expect([isUnsharedAnonVma(of(parent)), isUnsharedAnonVma(of(child))]).toEqual([false, false]);
    unlinkAnonVmas(kernel, child);
    expect(isUnsharedAnonVma(of(parent))).toBe(true);
    expect(of(parent).nrChildren).toBe(1);
  });
});

describe('splits and merges', () => {
  it('give the new part the whole chain', () => {
    const { kernel, vmas } = row(RW, RW);
    const [from, to] = vmas as [Vma, Vma];
    prepareAnonVma(kernel, from);
    cloneAnonVma(to, from);
    expect([to.chain, of(to).nrActiveVmas, of(to).attached.size]).toEqual([from.chain, 2, 2]);
    expect(isUnsharedAnonVma(of(to))).toBe(true);
  });
  it('give a survivor an anon_vma only if it has none', () => {
    const { kernel, vmas } = row(RW, RW | VM_NOHUGEPAGE, RW);
    const [a, b, c] = vmas as [Vma, Vma, Vma];
    prepareAnonVma(kernel, a);
    prepareAnonVma(kernel, b);
    adoptAnonVma(b, a);
    adoptAnonVma(c, a);
    expect([of(b) === of(a), of(c) === of(a)]).toEqual([false, true]);
    adoptAnonVma(a, vmaAt(kernel, 40));
    expect(of(a).nrActiveVmas).toBe(2);
  });
});
