/**
 * `node test/uml/main.ts COMMAND…`: runs it on the kernel of User Mode Linux, with its output and its exit status.
 *
 * @module
 */
import { runInUml, umlObstacle } from "./run-in-uml.ts";

const [file, ...args] = process.argv.slice(2);
const obstacle = file === undefined ? "usage: node test/uml/main.ts COMMAND…" : await umlObstacle();
if (file === undefined || obstacle !== undefined) {
  process.stderr.write(`${obstacle}\n`);
  process.exitCode = 2;
} else {
  const { end, stderr } = await runInUml({
    command: [file, ...args],
    timeoutMs: 600_000,
    onStdout: (text) => process.stdout.write(text),
  });
  process.stderr.write(stderr);
  if (end.kind === "exited") process.exitCode = end.status;
  else {
    process.stderr.write(
      `${end.kind === "crashed" ? `the guest crashed: ${end.why}` : "not within 600 s"}\n`,
    );
    process.exitCode = 1;
  }
}
