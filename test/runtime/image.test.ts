/**
 * The image that is made on the spot: its program runs and waits, tar(1) and the digests agree with it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must, until } from "../harness/process.ts";
import { pauseImage, pauseProgram } from "./image.ts";

let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "terway-image-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

describe("pauseProgram()", () => {
  it("is an executable of this machine that waits until it is killed", async () => {
    const path = join(directory, "pause");
    await writeFile(path, pauseProgram(process.arch), { mode: 0o755 });
    const child = spawn(path, [], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
    await until(
      "it waits in a system call",
      async () => (await readFile(`/proc/${child.pid}/status`, "utf8")).includes("Name:\tpause\n"),
      5000,
    );
    await until(
      "it sleeps",
      async () => /State:\tS/.test(await readFile(`/proc/${child.pid}/status`, "utf8")),
      5000,
    );
    child.kill("SIGKILL");
    expect(await ended).toBe("SIGKILL");
  });

  it("has code of its own for arm64", () => {
    expect(pauseProgram("arm64").subarray(120).toString("hex")).toBe(
      "000080d2010080d2020080d2030080d2280980d2010000d4faffff17",
    );
  });

  it("throws for a machine that it has no code for", () => {
    expect(() => pauseProgram("riscv64")).toThrow("no code for riscv64: x64 and arm64 are known");
  });
});

describe("pauseImage()", () => {
  it("is an archive in which every blob has the digest that names it", async () => {
    const path = join(directory, "pause.tar");
    await writeFile(path, pauseImage("x64"));
    await must("tar", ["-xf", path, "-C", directory]);
    const blobs = (await must("tar", ["-tf", path])).split("\n").filter((name) => name.startsWith("blobs/"));
    expect(blobs).toHaveLength(3);
    for (const blob of blobs) {
      const digest = createHash("sha256")
        .update(await readFile(join(directory, blob)))
        .digest("hex");
      expect(blob).toBe(`blobs/sha256/${digest}`);
    }
    expect(JSON.parse(await readFile(join(directory, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
  });
});
