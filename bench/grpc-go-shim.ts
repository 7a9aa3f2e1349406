/**
 * The yardstick: a plugin by grpc-go (grpc-go-shim/main.go), built where Go is there.
 *
 * @module
 */
import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { failed, ok, type Result } from "../proto/result.ts";
import { run } from "../test/harness/process.ts";

const SOURCE = join(import.meta.dirname, "grpc-go-shim");
const TARGET = join(import.meta.dirname, "../.cache/grpc-go-shim");
const BUILD_TIMEOUT_MS = 300_000;

/** Path of the executable, which is built if that was not done before; the fault says why there is none. */
export async function buildShim(): Promise<Result<string, string>> {
  const [built, ...sources] = await Promise.all(
    [TARGET, join(SOURCE, "main.go"), join(SOURCE, "go.sum")].map((path) =>
      stat(path).catch(() => undefined),
    ),
  );
  const newestMs = Math.max(...sources.map((source) => source?.mtimeMs ?? 0));
  if (built !== undefined && built.mtimeMs > newestMs) return ok(TARGET);
  const next = `${TARGET}.${process.pid}`;
  const env = { ...textsOf(process.env), CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" };
  const flags = ["-trimpath", "-ldflags", "-s -w", "-o", next];
  const build = ["-c", 'cd "$0" && exec go build "$@" .', SOURCE, ...flags];
  const made = await run("sh", build, { env, timeoutMs: BUILD_TIMEOUT_MS });
  if (made.status !== 0) {
    await rm(next, { force: true });
    const last = made.stderr.trim().split("\n").at(-1) ?? "";
    return failed(`there is no grpc-go shim to compare with: ${last === "" ? "go is missing" : last}`);
  }
  await rename(next, TARGET);
  return ok(TARGET);
}

function textsOf(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
