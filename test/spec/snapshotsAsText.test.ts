/**
 * Snapshots that are held against the model as text (src/replay/play/matchSnapshot.ts) and such that are read line by line: the same is compared, and a
 * kernel that shows anything else is found out either way.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { logsIn } from '../../src/fuzz/index.ts';
import { filesInMemory, opsItems, opsLogItems, type ReplayItem } from '../../src/replay/index.ts';
import { Checker } from '../../src/replay/play/check.ts';

const LOGS = logsIn(readFileSync(new URL('fuzzed.ops', import.meta.url), 'utf8')).filter((log) =>
  /^self /m.test(log),
);

const lines = (log: string): Iterable<ReplayItem> => opsItems(filesInMemory('log', { '': log }));
const text = (log: string): Iterable<ReplayItem> => opsLogItems('log', log);

/** Returns what a check of the items finds and has compared; of text that is no log, what is wrong with it. */
function found(items: Iterable<ReplayItem>): unknown {
  const checker = new Checker({});
  try {
    checker.run(items);
  } catch (error) {
    return String(error);
  }
  return { differences: checker.differences, compared: checker.compared };
}

/** A log of a fork and of pages of several kinds, as Linux 6.18 answered it. */
const ROW = `# opfuzz format 1 seed 1 ops 8 window 0x200000000000-0x200000060000 mode 0
snapshot 0
self pgtables_kb=52
end
1 mmap(0x200000000000, 12288, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000000000 <flt 0>
2 touch_write(0x200000000000, 8192) = 0 <flt 2>
3 touch_read(0x200000002000, 4096) = 0 <flt 1>
4 fork() = child 0
5 @0 touch_write(0x200000001000, 4096) = 0 <flt 1>
snapshot 5
self pgtables_kb=64
vma 200000000000-200000003000 rw-p 00000000 Rss=8 Shared_Dirty=4 Private_Dirty=4 Anonymous=8 flags=rd wr mr mw me ac
internal 200000000000-200000003000 pgoff=8589934592 anon=1 root=1 parent=1 children=2 vmas=1 chain=1
pg 200000000000-200000001000 P------- v=2
pg 200000001000-200000002000 P--X---- v=2
pg 200000002000-200000003000 P-----Z- v=0
child 0 pgtables_kb=52
vma 200000000000-200000003000 rw-p 00000000 Rss=8 Shared_Dirty=4 Private_Dirty=4 Anonymous=8 flags=rd wr mr mw me ac
internal 200000000000-200000003000 pgoff=8589934592 anon=2 root=1 parent=1 children=0 vmas=1 chain=2
pg 200000000000-200000001000 P------- v=2
pg 200000001000-200000002000 P--X---- v=1048581
pg 200000002000-200000003000 P-----Z- v=0
end`;

/** Returns `log` with the character at `at` replaced by another one that might stand there. */
function altered(log: string, at: number): string {
  const code = log.charCodeAt(at);
  const isDigit = code >= 48 && code <= 57;
  const other = isDigit ? String.fromCharCode(48 + ((code - 47) % 10)) : log[at] === '-' ? 'P' : '-';
  return log.slice(0, at) + other + log.slice(at + 1);
}

describe('a snapshot', () => {
  it('gives the same items when it is read later', () => {
    for (const log of LOGS) {
      const [read, passedOver] = [[...lines(log)], [...text(log)]];
      expect(passedOver).toHaveLength(read.length);
      for (const [i, item] of passedOver.entries()) {
        if (item.kind !== 'snapshot') expect(item).toEqual(read[i]);
        else {
          const { number, processes, uffd, file, line } = item;
          expect({ kind: 'snapshot', number, processes, uffd, file, line }).toEqual(read[i]);
        }
      }
    }
  });

  it('is compared alike as text and by its lines', () => {
    for (const log of LOGS) expect(found(text(log)), log.slice(0, 60)).toEqual(found(lines(log)));
  });

  it('that agrees is never read', () => {
    for (const item of text(ROW)) if (item.kind === 'snapshot') expect(item.unread).toBeDefined();
    const checker = new Checker({});
    const unread: ReplayItem[] = [...text(ROW)].map((item) => {
      if (item.kind !== 'snapshot' || item.unread === undefined) return item;
      const { number, uffd, file, line } = item;
      return { kind: 'snapshot', number, processes: [], uffd, unread: item.unread, file, line };
    });
    checker.run(unread);
    expect(checker.differences).toEqual([]);
    expect(checker.compared).toMatchObject({ vmas: 4, pages: 6 });
  });

  it('with any other character is found out as it is by its lines', () => {
    const from = ROW.indexOf('self pgtables_kb=64');
    let differ = 0;
    for (let at = from; at < ROW.length - 'end'.length; at++) {
      const log = altered(ROW, at);
      if (ROW[at] === '\n') continue;
      const [asText, byLines] = [found(text(log)), found(lines(log))];
      expect(asText, log.slice(from)).toEqual(byLines);
      if (typeof byLines === 'string' || (byLines as { differences: unknown[] }).differences.length > 0)
        differ++;
    }
    expect(differ).toBeGreaterThan(400);
  });
});
