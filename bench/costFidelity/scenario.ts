/**
 * A scenario: a short program of memory management as data, which the running kernel and the model both carry out.
 *
 * Steps are a word and numbers. Places are pages from the start of a window of addresses (2^22 pages) that is empty before and after, so that a step
 * means the same on both sides. What is between `begin` and `end` is timed; a scenario may have several such stretches.
 *
 *   map page n prot            private memory, at that place          write / read page n stride    an access to every stride-th page
 *   mapfile page n slot shared a memfd, from its start                advise page n advice          madvise
 *   unmap, lock, unlock, mincore page n                               protect page n prot           mprotect
 *   move from n to flags       mremap, same size                      resize page old new           mremap in place
 *   file slot n                a memfd of n pages                     contents page n               fills pages so that they compress to half
 *   uffd slot features         a userfaultfd                          register slot page n mode
 *   copy / moveto slot to from n, zero / continue slot to n           wp slot page n on             the ioctls
 *   scan page n protect        PAGEMAP_SCAN for written pages         fork, reap                    a child that waits; its end
 *   answer slot how page from  a thread on the same CPU answers faults until `silence page`: one fault more, which ends it
 *   thread cpu                 the steps that follow are a thread's on that CPU; `join` runs all such threads side by side, and times that
 */

/** What a step does. */
export type Word =
  | 'map'
  | 'mapfile'
  | 'unmap'
  | 'advise'
  | 'protect'
  | 'move'
  | 'resize'
  | 'write'
  | 'read'
  | 'contents'
  | 'lock'
  | 'unlock'
  | 'mincore'
  | 'file'
  | 'uffd'
  | 'register'
  | 'copy'
  | 'moveto'
  | 'zero'
  | 'continue'
  | 'wp'
  | 'scan'
  | 'fork'
  | 'reap'
  | 'answer'
  | 'silence'
  | 'thread'
  | 'join'
  | 'begin'
  | 'end';

/** One step. */
export type Step = readonly [word: Word, ...numbers: number[]];

/** What a scenario needs of the machine. */
export type Need = 'swap' | 'huge' | 'cpus';

/** One way to do what the others of its situation do otherwise. */
export interface Scenario {
  /** The situation: its family and what was drawn. */
  readonly situation: string;
  readonly way: string;
  readonly steps: readonly Step[];
  readonly needs: readonly Need[];
  /** It waits for others: the time that passes counts, not the time it uses. */
  readonly waits: boolean;
}

/** Pages of the window. */
export const WINDOW_PAGES = 2 ** 22;

/** Returns a scenario as the program that carries it out reads it. */
export const scenarioText = ({ steps, waits }: Scenario, id: number): string =>
  `scenario ${id} ${waits ? 1 : 0}\n${steps.map((step) => step.join(' ')).join('\n')}\nrun\n`;
