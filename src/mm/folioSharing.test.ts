/** What the two slots of a huge folio tell after others have come and gone, worked out by hand from the rules in folioSharing.ts. */
import { describe, expect, it } from 'vitest';
import { FolioSharing } from './folioSharing.ts';

const [A, B, C] = [1, 2, 3];

/** Adds (positive) or takes away (negative) mappings, and tells after each whether the folio may be shared. */
function seen(...steps: readonly (readonly [mm: number, n: number])[]): string {
  const sharing = new FolioSharing();
  return steps
    .map(([mm, n]) => {
      if (n > 0) sharing.add(mm, n);
      else sharing.sub(mm, -n);
      return sharing.maybeShared ? 'S' : '-';
    })
    .join('');
}

describe('a folio with at most two address spaces', () => {
  it('is shared while both map it', () => {
    expect(seen([A, 1], [B, 1], [B, -1])).toBe('-S-');
    expect(seen([A, 1], [B, 1], [A, -1], [B, 512], [B, -1])).toBe('-S---');
  });
  it('is not shared while there is one mapping only, whatever the mark says', () => {
    expect(seen([A, 1], [B, 1], [C, 1], [A, -1], [B, -1])).toBe('-SSS-');
  });
  it('stays shared when single pages go and both still have some', () => {
    expect(seen([A, 512], [B, 512], [B, -511], [A, -511], [B, -1])).toBe('-SSS-');
  });
});

describe('a folio with a third', () => {
  it('is not named, and stays counted as shared when the two are gone', () => {
    expect(seen([A, 512], [B, 512], [C, 512], [A, -512], [B, -512])).toBe('-SSSS');
    // Its own mappings go one by one: only with the last it is alone.
    expect(seen([A, 512], [B, 512], [C, 512], [A, -512], [B, -512], [C, -510], [C, -1])).toBe('-SSSSS-');
  });
  it('is forgotten again when it leaves first', () => {
    expect(seen([A, 512], [B, 512], [C, 512], [C, -512], [B, -512])).toBe('-SSS-');
  });
  it('takes a slot that has become free, with what it maps from then on', () => {
    // C mapped 2 MiB at once without a slot, then breaks the mapping up: one of its mappings is never accounted for.
    expect(seen([A, 1], [B, 1], [C, 1], [A, -1], [B, -1], [C, 512], [C, -1])).toBe('-SSS-SS');
  });
});
