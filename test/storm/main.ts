/**
 * The storms in their long form: `npm run storm -- --minutes 10`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const USAGE =
  "usage: npm run storm -- [--minutes N]   how long the churn and the hour without cloud take; 10 where absent\n";

function minutesOf(argv: string[]): string | undefined {
  try {
    const { values } = parseArgs({ args: argv, options: { minutes: { type: "string", default: "10" } } });
    const minutes = Number(values.minutes);
    return minutes >= 0.5 && minutes <= 1440 ? values.minutes : undefined;
  } catch {
    return undefined;
  }
}

function main(): number {
  const minutes = minutesOf(process.argv.slice(2));
  if (minutes === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const vitest = new URL("../../node_modules/vitest/vitest.mjs", import.meta.url).pathname;
  const ran = spawnSync(process.execPath, [vitest, "run", "--project", "root", "test/storm"], {
    cwd: new URL("../..", import.meta.url).pathname,
    env: { ...process.env, STORM_MINUTES: minutes },
    stdio: "inherit",
  });
  return ran.status ?? 1;
}

process.exitCode = main();
