/**
 * Says what a file looks like that is in none of our formats, and what to do with it.
 */

interface Look {
  readonly looks: string;
  readonly wanted: string;
}

interface Kind {
  readonly magic: string;
  readonly at?: number;
  readonly looks: string;
  readonly wanted?: string;
}

const WANTED =
  'a recording directory, or a file of strace, perf script (page faults), /proc/PID/maps or smaps, ops or our bpftrace script, plain or gzip';

const unpacked = (program: string): string =>
  `plain text or gzip: unpack it first, for example ${program} -dc FILE | faultline check -`;

const KINDS: readonly Kind[] = [
  { magic: '\x7fELF', looks: 'an ELF program' },
  { magic: 'PERFILE2', looks: 'the data file of perf', wanted: 'its text: perf script -i FILE' },
  { magic: '\x28\xb5\x2f\xfd', looks: 'a zstd file', wanted: unpacked('zstd') },
  { magic: '\xfd7zXZ', looks: 'an xz file', wanted: unpacked('xz') },
  { magic: 'BZh', looks: 'a bzip2 file', wanted: unpacked('bzip2') },
  { magic: '\x1f\x8b', looks: 'gzip inside gzip', wanted: 'a file that was zipped once' },
  { magic: 'PK\x03\x04', looks: 'a zip archive', wanted: unpacked('unzip') },
  {
    magic: 'ustar',
    at: 257,
    looks: 'a tar archive',
    wanted: 'what is in it: unpack it and give the directory',
  },
  { magic: 'SQLite format 3', looks: 'a SQLite database' },
  { magic: '\xff\xfe', looks: 'text in UTF-16', wanted: 'text in UTF-8: iconv -f UTF-16 -t UTF-8 FILE' },
  { magic: '\xfe\xff', looks: 'text in UTF-16', wanted: 'text in UTF-8: iconv -f UTF-16 -t UTF-8 FILE' },
  { magic: '{', looks: 'JSON' },
  { magic: '<', looks: 'HTML or XML' },
];

/** Describes the beginning of a file that could not be recognized. */
export function lookOf(bytes: Uint8Array): Look {
  const text = Buffer.from(bytes.subarray(0, 1024)).toString('latin1');
  const kind = KINDS.find(({ magic, at = 0 }) => text.startsWith(magic, at));
  if (kind !== undefined) return { looks: kind.looks, wanted: kind.wanted ?? WANTED };
  if (isBinary(bytes)) {
    const shown = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return { looks: `binary data that begins with the bytes ${shown}`, wanted: WANTED };
  }
  const [line = ''] = Buffer.from(bytes).toString('utf8').trimStart().split('\n');
  const shown = line.length > 60 ? `${line.slice(0, 60)}…` : line;
  return {
    looks: shown === '' ? 'only blank lines' : `text that begins with ${JSON.stringify(shown)}`,
    wanted: WANTED,
  };
}

/** Tells whether bytes are no text: a NUL, or more than a tenth of control characters. */
export function isBinary(bytes: Uint8Array): boolean {
  let controls = 0;
  for (const byte of bytes) {
    if (byte === 0) return true;
    if (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 27) controls++;
  }
  return controls * 10 > bytes.length;
}
