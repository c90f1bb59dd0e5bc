/**
 * The command line: finds the command, reads its arguments, turns what went wrong into a message and an exit status.
 *
 * Only the files of the command that was asked for are loaded.
 */
import { Command, CommanderError } from 'commander';
import { DONE, FOUND, failureOf, failureText, WRONG_INPUT } from './exitStatus.ts';
import { formatHelp } from './helpText.ts';
import { note, noteRaw, print } from './output.ts';
import { packageVersion } from './version.ts';

const COMMANDS: Readonly<Record<string, (program: Command) => Promise<void>>> = {
  compare: async (program) => (await import('./compare.ts')).registerCompareCommand(program),
  run: async (program) => (await import('./run.ts')).registerRunCommand(program),
  check: async (program) => (await import('./check.ts')).registerCheckCommand(program),
  explain: async (program) => (await import('./explain.ts')).registerExplainCommand(program),
  reproduce: async (program) => (await import('./reproduce.ts')).registerReproduceCommand(program),
  record: async (program) => (await import('./record/command.ts')).registerRecordCommand(program),
  fuzz: async (program) => (await import('./fuzz.ts')).registerFuzzCommand(program),
  calibrate: async (program) => (await import('./calibrate.ts')).registerCalibrateCommand(program),
  fidelity: async (program) => (await import('./fidelity.ts')).registerFidelityCommand(program),
  features: async (program) => (await import('./features.ts')).registerFeaturesCommand(program),
  workloads: async (program) => (await import('./workloads.ts')).registerWorkloadsCommand(program),
};

/** Runs `faultline` with the arguments after the program's name in this thread and returns the exit status. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const program = frame();
  const asked = Object.entries(COMMANDS).filter(([name]) => name === argv[0]);
  for (const [, register] of asked.length > 0 ? asked : Object.entries(COMMANDS)) await register(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return DONE;
  } catch (error) {
    return statusOf(error);
  }
}

function frame(): Command {
  return new Command('faultline')
    .description('What would this memory-management proposal do to my program?')
    .version(packageVersion(), '--version', 'Print the version.')
    .helpOption('--help', 'Print this.')
    .helpCommand('help [command]', 'Print the help of a command.')
    .configureHelp({ formatHelp })
    .configureOutput({
      writeOut: print,
      writeErr: noteRaw,
      outputError: (text, write) => write(text.replace(/^error: /, 'faultline: ')),
    })
    .exitOverride();
}

function statusOf(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander's own complaints have status 1, which means something else here.
    if (!error.code.startsWith('commander.')) return error.exitCode;
    return error.exitCode === 0 ? DONE : WRONG_INPUT;
  }
  const failure = failureOf(error);
  if (failure !== null) {
    note(failureText(failure));
    return failure.status;
  }
  note(`faultline: an error that nobody foresaw\n${error instanceof Error ? error.stack : String(error)}`);
  return FOUND;
}
