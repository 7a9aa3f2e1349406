/**
 * The programs of the system that the simulator is made with.
 *
 * @module
 */
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** Program -> Debian package that has it. */
const NEEDED: Readonly<Record<string, string>> = { ip: "iproute2", nft: "nftables", nsenter: "util-linux" };

/** The path of a program in PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter).filter((part) => part !== "")) {
    const path = join(directory, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}

/** One sentence on what has to be installed; `undefined` where nothing has. */
export async function missingPrograms(): Promise<string | undefined> {
  const missing: string[] = [];
  for (const name of Object.keys(NEEDED)) if ((await findProgram(name)) === undefined) missing.push(name);
  if (missing.length === 0) return undefined;
  const packages = missing.map((name) => NEEDED[name]).join(" ");
  return `not found in PATH: ${missing.join(", ")}; on Debian and Ubuntu: apt-get install ${packages}`;
}
