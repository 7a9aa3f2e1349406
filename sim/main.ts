#!/usr/bin/env node
/**
 * `terway-sim`. Help: `terway-sim help`.
 *
 * @module
 */
import { runCommand } from "./cli/cli.ts";

const ended = await runCommand(process.argv.slice(2), process.geteuid?.() === 0);
process.stdout.write(ended.stdout);
process.stderr.write(ended.stderr);
process.exitCode = ended.status;
