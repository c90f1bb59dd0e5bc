/**
 * The thread in which a command runs; main.ts says why.
 */
import { runCommandLine } from './commandLine.ts';

process.exit(await runCommandLine(process.argv.slice(2)));
