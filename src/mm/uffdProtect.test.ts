/** Which translations write-protection by userfaultfd drops. */
import { expect, it } from 'vitest';
import { BASE, oneProcess } from '../../test/support/memory.ts';
import { UFFD_FEATURE_PAGEFAULT_FLAG_WP } from '../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { CountingTlb } from './tlb.ts';
import { UffdContext } from './uffdContext.ts';
import { protectForUffd } from './uffdProtect.ts';
import { VM_UFFD_WP } from './vmFlags.ts';

it('flushes from the first page that lost write access to the last', () => {
  const memory = oneProcess();
  memory.map(0, 2048);
  for (const page of [515, 520, 1030]) memory.touch(page);
  const vma = memory.vma(0);
  vma.uffd = new UffdContext(memory.mm, 0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  vma.flags |= VM_UFFD_WP;
  const { kernel } = memory.machine;
  const flushed: number[][] = [];
  const counting = new CountingTlb(kernel.work);
  kernel.tlb = {
    flush: (mm, start, end, freed) => {
      flushed.push([(start - BASE) / PAGE_SIZE, (end - BASE) / PAGE_SIZE]);
      counting.flush(mm, start, end, freed);
    },
    flushAll: (mm) => counting.flushAll(mm),
  };
  protectForUffd(memory.mm, vma, { start: vma.start, end: vma.end }, true);
  expect(flushed).toEqual([[515, 1031]]);
  expect(memory.bits(520)).not.toContain('w');
});
