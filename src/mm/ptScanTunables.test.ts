/** What can be set of the scan for empty page tables, and what is said where it cannot. */
import { describe, expect, it } from 'vitest';
import { Machine } from '../../test/support/memory.ts';
import { EACCES, EINVAL, ENOENT } from '../abi/errno.ts';
import { setPtReclaim, writePtScan } from './ptReclaimCalls.ts';
import { parseTunable, RFC_SCAN, SCAN_TUNABLES, tunableText } from './ptScanTunables.ts';

describe('a tunable', () => {
  it.each([
    ['interval=50', { interval: 50 }],
    ['interval=0.5', { interval: 0.5 }],
    ['size=64M', { size: 64 * 2 ** 20 }],
    ['stop=exact', { stop: 'exact' }],
    ['lock=gupFast', { lock: 'gupFast' }],
    ['minAge=2', { minAge: 2 }],
    ['upper=on', { upper: true }],
    ['maxPerStop=unlimited', { maxPerStop: Number.POSITIVE_INFINITY }],
    ['entryNs=0.8', { entryNs: 0.8 }],
    ['entryNs=calibrated', { entryNs: null }],
  ])('%s', (text, setting) => expect(parseTunable(text)).toEqual(setting));
  it.each([
    ['interval=0', 'interval takes milliseconds above 0, as 100'],
    ['size=1M', 'size takes a size of at least 2M, as 256M or 1G'],
    ['stop', 'stop takes vmaEnd, exact'],
    ['upper=yes', 'upper takes off, on'],
  ])('%s is none', (text, why) => expect(parseTunable(text)).toBe(why));
  it('is one of those that there are', () =>
    expect(parseTunable('delay=1')).toBe(
      `no 'delay' of the scan; there are ${Object.keys(SCAN_TUNABLES).join(', ')}`,
    ));
  it('is written as it is read', () => {
    for (const name of Object.keys(SCAN_TUNABLES) as (keyof typeof SCAN_TUNABLES)[])
      expect(parseTunable(`${name}=${tunableText(name, RFC_SCAN)}`)).toEqual({ [name]: RFC_SCAN[name] });
  });
});

describe('what a program says about the scan', () => {
  const { mm } = new Machine(0, { ptReclaim: 'async' }).spawn();
  it('is for its process, or for the machine', () => {
    expect([setPtReclaim(mm, 0).ret, mm.ptReclaim]).toEqual([0, 'never']);
    expect([setPtReclaim(mm, 1).ret, mm.ptReclaim]).toEqual([0, 'madvise']);
    expect([setPtReclaim(mm, 7).ret, mm.ptReclaim]).toEqual([-EINVAL, 'madvise']);
    expect(writePtScan(mm, 'interval=7\nsize=4M').ret).toBe(0);
    expect(mm.kernel.config.ptScan).toMatchObject({ interval: 7, size: 2 ** 22 });
  });
  it('is taken whole or not at all, and from root', () => {
    expect([writePtScan(mm, 'interval=9 size=1').ret, mm.kernel.config.ptScan.interval]).toEqual([
      -EINVAL,
      7,
    ]);
    mm.privileged = false;
    expect(writePtScan(mm, 'interval=9').ret).toBe(-EACCES);
  });
  it('is not known where nothing scans', () => {
    const other = new Machine(0, { ptReclaim: 'sync' }).spawn().mm;
    expect([setPtReclaim(other, 0).ret, writePtScan(other, 'interval=9').ret]).toEqual([-EINVAL, -ENOENT]);
  });
});
