/**
 * Draws about one page table: memory of 2 MiB is filled in one way, and emptied in another, by whole calls or in pieces, so that a table is left without
 * entries, or goes, or is kept by one entry. Single draws seldom make that of one table.
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Draw } from './drawMemory.ts';
import type { PageRange } from './opsWindow.ts';
import type { Scene } from './scene.ts';

const TABLE = 512;

/** Returns pieces of a range: all of it, two halves, all but the last page and that. */
function pieces(scene: Scene, { first, end }: PageRange): readonly PageRange[] {
  const middle = scene.random.pick([end, end, first + TABLE / 2, end - 1]);
  const both = [
    { first, end: middle },
    { first: middle, end },
  ];
  return both.filter((range) => range.end > range.first);
}

/** Returns a few pages of a range, at its start, its end, or anywhere; or all of it. */
function some(scene: Scene, { first, end }: PageRange): PageRange {
  const { random } = scene;
  const length = random.pick([1, 1, 4, 64]);
  const from = random.pick([first, end - length, first + random.below(TABLE - length)]);
  return scene.chance(0.15) ? { first, end } : { first: from, end: from + length };
}

const advise = (scene: Scene, range: PageRange, advice: string): string =>
  `madvise(${scene.text(range)}, ${advice})`;

/** What is put there, and what takes just that away. */
function fillAndEmpty(scene: Scene, table: PageRange, isShared: boolean): readonly string[] {
  const part = some(scene, table);
  const own = scene.random.pick(
    isShared ? ['write', 'remove', 'remove'] : ['write', 'read', 'swap', 'guard', 'lazy'],
  );
  const each = (advice: string): readonly string[] =>
    pieces(scene, table).map((range) => advise(scene, range, advice));
  switch (own) {
    case 'read':
      return [`touch_read(${scene.text(part)})`, ...each('MADV_DONTNEED')];
    case 'swap':
      return [
        `touch_write(${scene.text(part)})`,
        advise(scene, table, 'MADV_PAGEOUT'),
        ...each('MADV_DONTNEED'),
      ];
    case 'guard':
      return [
        advise(scene, part, 'MADV_GUARD_INSTALL'),
        ...each(scene.random.pick(['MADV_GUARD_REMOVE', 'MADV_DONTNEED'])),
      ];
    case 'lazy':
      return [
        `touch_write(${scene.text(part)})`,
        advise(scene, table, 'MADV_FREE'),
        advise(scene, table, scene.random.pick(['MADV_PAGEOUT', 'MADV_DONTNEED'])),
      ];
    case 'remove':
      return [`touch_write(${scene.text(part)})`, ...each('MADV_REMOVE')];
    default:
      return [`touch_write(${scene.text(part)})`, ...each('MADV_DONTNEED')];
  }
}

/** A new mapping of one table, or the one that is there; what fills it; what empties it. */
const tableScene: Draw = (scene) => {
  const { random, window } = scene;
  const first = TABLE * random.below(window.pages / TABLE);
  const table = { first, end: first + TABLE };
  const kind = scene.maps.draw(random);
  const isShared = kind === 'MAP_SHARED';
  const lines: string[] = [];
  if (isShared || scene.chance(0.6)) {
    const flags = isShared ? 'MAP_SHARED' : 'MAP_PRIVATE';
    lines.push(`mmap(${scene.text(table)}, PROT_READ|PROT_WRITE, ${flags}|MAP_FIXED|MAP_ANONYMOUS, -1, 0)`);
    window.map(table, 'write');
  }
  lines.push(...fillAndEmpty(scene, table, isShared));
  if (scene.chance(0.3)) lines.push(advise(scene, table, 'MADV_DONTNEED'));
  if (scene.chance(0.15)) lines.push(`munmap(${scene.at(first)}, ${(TABLE / 2) * PAGE_SIZE})`);
  return lines;
};

/** By the names that the tables of modes use. */
export const TABLE_DRAWS: Readonly<Record<string, Draw>> = { tableScene };
