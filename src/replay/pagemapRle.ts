/**
 * `pagemap.end.rle`: runs of pages that are not empty, `START-END FLAGS` in hex, ascending.
 *
 * FLAGS are four columns, then `W` or nothing: `P` present, `S` swap entry (or a pte marker), `F` file or shared memory, `X` mapped
 * only here; `W` write-protected by userfaultfd. A dash is "not".
 */
import { type Addr, isPageAligned } from '../base/units.ts';
import { type InputFiles, pathIn } from './input.ts';
import { Scanner } from './scanner.ts';

/** Neighbouring pages in the same state. */
export interface PageRun {
  readonly start: Addr;
  readonly end: Addr;
  readonly present: boolean;
  readonly swap: boolean;
  readonly file: boolean;
  readonly exclusive: boolean;
  readonly uffdWp: boolean;
  readonly line: number;
}

/** Yields the runs of a pagemap file in rising order. */
export function* pageRuns(files: InputFiles, file: string): Generator<PageRun> {
  const at = new Scanner(pathIn(files, file));
  let line = 0;
  for (const text of files.lines(file)) {
    line++;
    at.start(text, line);
    const start = at.hex('the start address in hex');
    at.expect('-', '"-" between start and end');
    const end = at.hex('the end address in hex');
    if (end <= start || !isPageAligned(start) || !isPageAligned(end))
      at.fail('this is no range of pages', 'page-aligned START below END', 0);
    at.expect(' ', 'a blank and the page flags');
    const from = at.pos;
    const flags = at.rest();
    if (!/^[P-][S-][F-][X-]W?$/.test(flags))
      at.fail(`"${flags}" are no page flags`, 'P S F X or - in four columns, then W or nothing', from);
    const [p, s, f, x, w] = flags;
    yield {
      start,
      end,
      present: p === 'P',
      swap: s === 'S',
      file: f === 'F',
      exclusive: x === 'X',
      uffdWp: w === 'W',
      line,
    };
  }
}
