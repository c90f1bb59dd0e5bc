/**
 * How ranges are drawn in the kinds of windows: of the first three, the proportions of the recorded sequences (opfuzz), a little rounded, with more
 * ranges that end at a border.
 */
import type { RangeTaste } from './opsWindow.ts';

/** 0: 96 pages and small ranges; 1: 8 MiB; 2: 8 MiB, often with whole 2 MiB that ask for huge pages; 3: 8 MiB, ranges that end with a page table or beside. */
export type WindowKind = 0 | 1 | 2 | 3;

/** By kind of window. */
export const RANGE_TASTES: Readonly<Record<WindowKind, RangeTaste>> = {
  0: {
    pages: 96,
    edge: 0.68,
    lastStart: 0.08,
    lastEnd: 0.04,
    low: 0.01,
    aligned: 0,
    short: 0.7,
    long: 0.05,
    whole: 0,
    shortPages: 8,
    longPages: 32,
  },
  1: {
    pages: 2048,
    edge: 0.5,
    lastStart: 0.07,
    lastEnd: 0.05,
    low: 0.04,
    aligned: 0.08,
    short: 0.58,
    long: 0.18,
    whole: 0.05,
    shortPages: 16,
    longPages: 256,
  },
  2: {
    pages: 2048,
    edge: 0.4,
    lastStart: 0.13,
    lastEnd: 0.03,
    low: 0.08,
    aligned: 0.2,
    short: 0.34,
    long: 0.2,
    whole: 0.26,
    shortPages: 16,
    longPages: 512,
  },
  3: {
    pages: 2048,
    edge: 0.3,
    lastStart: 0.16,
    lastEnd: 0.1,
    low: 0.04,
    aligned: 0.36,
    short: 0.24,
    long: 0.16,
    whole: 0.48,
    shortPages: 8,
    longPages: 512,
  },
};
