/**
 * `faultline record`: arguments, messages, exit status. The recording itself is recording.ts.
 *
 * Everything said goes to standard error, because standard output belongs to the recorded program; with --json it is the
 * other way round. Exit status: 0 recorded, 2 wrong arguments or no recording to be had, 130 ended by Ctrl-C (what was
 * recorded until then is complete and written).
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, CommanderError, InvalidArgumentError } from 'commander';
import { RecordError } from './recordError.ts';
import { type Recorded, type RecordOptions, record } from './recording.ts';
import { findProgram, findTools } from './requirements.ts';

const HELP = `
The program runs under strace and perf until it exits (or what --seconds or --load say) or Ctrl-C; then DIRECTORY holds
every system call that changes an address space, every page fault, and what /proc showed at the start and at the end.

Needs strace (Debian: apt-get install strace). With root and perf (apt-get install linux-perf) page faults are recorded,
too; without them the recording says what a replay cannot know. While recording, each of the program's processes takes
one second longer to exit if the end is its exit: for programs with many children use --seconds or --load.

Exit status: 0 recorded, 2 wrong arguments or no recording possible, 130 ended by Ctrl-C (the recording is complete).`;

interface Flags {
  readonly output?: string;
  readonly exit?: true;
  readonly seconds?: number;
  readonly load?: string;
  readonly loadDelay: number;
  readonly env: readonly string[];
  readonly user?: string;
  readonly aslr: boolean;
  readonly faults: boolean;
  readonly json?: true;
  readonly quiet?: true;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || value > 86_400)
    throw new InvalidArgumentError('Seconds, for example 3 or 0.5.');
  return value;
}

function variable(text: string, before: readonly string[]): string[] {
  if (!/^[^=]+=/.test(text))
    throw new InvalidArgumentError('NAME=VALUE, for example LD_PRELOAD=/usr/lib/x.so.');
  return [...before, text];
}

/** Adds `faultline record` to the command line. */
export function registerRecordCommand(program: Command): void {
  const command = program
    .command('record')
    .summary('record a program (strace + perf + /proc) into a directory')
    .description('Record what a program does to its address space, for check, compare and explain.')
    .usage('[options] -- <command> [args...]')
    .argument('<command...>', 'the program and its arguments, behind --')
    .option('-o, --output <directory>', 'the directory to make (default: NAME.recording)')
    .option('--exit', 'end when the process enters exit_group (the default without --seconds and --load)')
    .option('--seconds <number>', 'end after so many seconds', seconds)
    .option(
      '--load <command>',
      'run a shell command (not recorded) as the load, end when it returns; REC_PID is the process',
    )
    .option('--load-delay <seconds>', 'let the program run so long before the load', seconds, 0.7)
    .option('--env <name=value>', 'a variable for the program; may be repeated', variable, [])
    .option('--user <name>', 'run the program as this user (needs root)')
    .option('--no-aslr', 'switch address randomisation off for the program')
    .option('--no-faults', 'record no page faults')
    .option('--json', 'print what was recorded as JSON; the output of the program goes to standard error')
    .option('--quiet', 'say only what went wrong')
    .addHelpText('after', HELP);
  command.action(async (argv: [string, ...string[]], flags: Flags) => run(command, argv, flags));
}

async function run(command: Command, argv: readonly [string, ...string[]], flags: Flags): Promise<void> {
  const say = (text: string): void => {
    process.stderr.write(`faultline record: ${text}\n`);
  };
  const user = { interrupts: 0, note: flags.quiet ? () => {} : say };
  const onSignal = (): void => {
    user.interrupts++;
    // The exit handler of the recording kills what runs and removes what is unfinished.
    if (user.interrupts > 1) process.exit(130);
    say('ending the recording (Ctrl-C once more gives it up)');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const tools = findTools();
    if (flags.user !== undefined && process.getuid?.() !== 0) throw new RecordError('--user needs root');
    if (!flags.aslr && tools.setarch === null) {
      throw new RecordError('--no-aslr needs setarch, which is not installed: apt-get install util-linux');
    }
    const recorded = await record(optionsFrom(resolveProgram(argv), flags), tools, user);
    if (flags.json) process.stdout.write(`${JSON.stringify(recorded)}\n`);
    else user.note(summary(recorded));
    if (recorded.threadsNotStopped > 0) {
      say(
        `${recorded.threadsNotStopped} threads did not stop: the end snapshot may not fit the calls; record again`,
      );
    }
    if (recorded.faultsLost > 0)
      say(`perf lost ${recorded.faultsLost} events: a replay will not be exact; record again`);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    command.error(`faultline record: ${error.message}`, {
      exitCode: error.interrupted ? 130 : 2,
      code: 'faultline.record',
    });
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
  if (user.interrupts > 0) throw new CommanderError(130, 'faultline.interrupted', 'interrupted');
}

function optionsFrom(argv: readonly [string, ...string[]], flags: Flags): RecordOptions {
  const hasOtherEnd = flags.seconds !== undefined || flags.load !== undefined;
  return {
    dir: flags.output ?? `${basename(argv[0])}.recording`,
    argv,
    variables: flags.env,
    user: flags.user ?? null,
    aslr: flags.aslr,
    end: {
      atExit: flags.exit === true || !hasOtherEnd,
      seconds: flags.seconds ?? null,
      load: flags.load ?? null,
      loadDelayMs: flags.loadDelay * 1000,
    },
    faults: flags.faults,
    programOutput: flags.json ? 'stderr' : 'inherit',
  };
}

/**
 * Returns the argument list with the program by its path. A script that begins with `#!/usr/bin/env NAME` becomes NAME and
 * the script: env would replace itself by NAME, and the recording would be one of env.
 */
function resolveProgram(argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const [name, ...rest] = argv;
  const file = findProgram(name, process.env['PATH']);
  if (file === null)
    throw new RecordError(
      `no program ${name}: no such executable file${name.includes('/') ? '' : ' on PATH'}`,
    );
  if (file.includes('='))
    throw new RecordError(`${file}: a path with = cannot be recorded; make a link without it`);
  const words = /^#!\s*\S*\/env\s+(.*)$/.exec(firstLine(file))?.[1]?.trim().split(/\s+/) ?? [];
  const [interpreter, ...given] = words[0] === '-S' ? words.slice(1) : words;
  if (interpreter === undefined || /^-|=/.test(interpreter)) return [file, ...rest];
  return resolveProgram([interpreter, ...given, file, ...rest]);
}

function firstLine(file: string): string {
  const start = Buffer.alloc(256);
  let length = 0;
  try {
    const fd = openSync(file, 'r');
    length = readSync(fd, start, 0, start.length, 0);
    closeSync(fd);
  } catch {
    // A file that may be executed but not read is no script.
  }
  return start.toString('latin1', 0, length).split('\n')[0]!;
}

function summary(made: Recorded): string {
  const faults = made.faults === null ? 'no page faults' : `${made.faults} page faults`;
  const processes = made.processesAtEnd === 1 ? '1 process' : `${made.processesAtEnd} processes`;
  return `${made.dir}: ${made.lines} lines of system calls, ${faults}, ${made.vmasAtStart} VMAs at the start, ${made.vmasAtEnd} at the end, ${processes}`;
}
