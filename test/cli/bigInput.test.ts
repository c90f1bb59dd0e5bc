/**
 * A large input is read in pieces: memory does not grow with the file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BIN, ROOT } from './program.ts';

const MIB = 2 ** 20;
const TEXT_BYTES = 50 * MIB;
/** The whole text in memory, or its calls as objects, would be more. An empty input takes about 90. */
const RSS_MIB_MAX = 190;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-big-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes the calls of a process that maps, protects and unmaps a page over and over. Returns their number. */
function bigStrace(): { text: Buffer; calls: number } {
  const round = (i: number): string => {
    const addr = `0x7f00${(0x10000000 + (i % 50_000) * 4096).toString(16)}`;
    return (
      `17 mmap(${addr}, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = ${addr}\n` +
      `17 mprotect(${addr}, 4096, PROT_READ) = 0\n17 munmap(${addr}, 4096) = 0\n`
    );
  };
  const rounds = Math.ceil(TEXT_BYTES / round(1).length);
  const parts: string[] = [];
  for (let i = 0; i < rounds; i++) parts.push(round(i));
  return { text: Buffer.from(parts.join('')), calls: 3 * rounds };
}

/** Runs the program in this process and says on standard error how large it became. */
const MEASURED = `
  process.on('exit', () => require('node:fs').writeSync(2, 'KiB ' + process.resourceUsage().maxRSS));
  import(process.env.MAIN).then(async ({ main }) => { process.exitCode = await main(process.argv.slice(1)); });`;

it('a strace of 50 MiB, zipped, takes no more memory than a window of it', () => {
  const { text, calls } = bigStrace();
  const path = join(folder, 'big.strace.gz');
  writeFileSync(path, gzipSync(text, { level: 1 }));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['-e', MEASURED, 'check', '--json', '--quiet', path],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, MAIN: join(BIN, '../../dist/cli/main.js') } },
  );
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, ops: calls });
  const kib = Number(/KiB (\d+)$/.exec(stderr)?.[1]);
  expect(kib / 1024).toBeGreaterThan(40);
  expect(kib / 1024).toBeLessThan(RSS_MIB_MAX);
});
