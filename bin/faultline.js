#!/usr/bin/env node
// The command line's entry: everything is in src/cli, which `npm ci` (or `npm run build`) compiles into dist/.
import { main } from '../dist/cli/main.js';

process.exitCode = await main(process.argv.slice(2));
