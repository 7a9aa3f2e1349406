/**
 * The source of the engine, QuickJS-ng: the source distribution of a Python package, pinned by version and checksum in
 * `requirements.txt`, from whichever package index pip is set up for.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { failed, ok, type Result } from "../../proto/result.ts";
import { runCommand } from "./command.ts";

const REQUIREMENTS = join(import.meta.dirname, "requirements.txt");

/** Of the archive, in hexadecimal. */
export async function engineChecksum(): Promise<string> {
  const [, checksum] = /--hash=sha256:([0-9a-f]{64})/.exec(await readFile(REQUIREMENTS, "utf8")) ?? [];
  if (checksum === undefined) throw new Error(`no checksum in ${REQUIREMENTS}`);
  return checksum;
}

/**
 * Unpacks the engine's C files into the empty directory `into`. The archive is fetched once and kept in `cache`; its
 * checksum is compared each time.
 */
export async function unpackEngine(cache: string, into: string): Promise<Result<void, string>> {
  const checksum = await engineChecksum();
  const archive = join(cache, `quickjs-ng-${checksum.slice(0, 16)}.tar.gz`);
  if ((await checksumOf(archive)) !== checksum) {
    const fetched = await fetchArchive(cache, archive);
    if (!fetched.ok) return fetched;
    if ((await checksumOf(archive)) !== checksum) return failed("the engine's source has a wrong checksum");
  }
  const members = ["--strip-components=2", "--wildcards", "*/upstream-quickjs/*"];
  const unpacked = await runCommand("tar", ["-xzf", archive, "-C", into, ...members], cache);
  return unpacked.ok ? ok(undefined) : unpacked;
}

async function checksumOf(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : createHash("sha256").update(bytes).digest("hex");
}

async function fetchArchive(cache: string, archive: string): Promise<Result<void, string>> {
  await mkdir(cache, { recursive: true });
  const directory = await mkdtemp(join(cache, "fetch-"));
  try {
    // Before pip lets an archive go, it runs the package's setup.py for its metadata; its checksum has been compared by then.
    const options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--no-binary", "quickjs-ng"];
    const download = ["-m", "pip", "download", ...options, "--require-hashes", "-r", REQUIREMENTS];
    const fetched = await runCommand("python3", [...download, "-d", directory], cache);
    if (!fetched.ok) return failed(`the engine's source cannot be fetched: ${fetched.fault}`);
    const [name] = await readdir(directory);
    if (name === undefined) return failed("pip has fetched nothing");
    await rename(join(directory, name), archive);
    return ok(undefined);
  } finally {
    await rm(directory, { recursive: true });
  }
}
