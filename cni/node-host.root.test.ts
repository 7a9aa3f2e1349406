/**
 * What the plugin's process must not trust, and a disk that is full: needs root for other owners and for mounts.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Done } from "./core/done.ts";
import { nodeUtf8, runPlugin } from "./node-host.ts";

const SOMEBODY = 12_345;
const directory = mkdtempSync(join(tmpdir(), `tw${process.pid}-`));
const socketPath = join(directory, "agent.sock");
let connections = 0;
const server = createServer((socket) => {
  connections += 1;
  socket.destroy();
});

beforeAll(async () => {
  server.listen(socketPath);
  await once(server, "listening");
});

afterAll(async () => {
  server.close();
  await once(server, "close");
  rmSync(directory, { recursive: true });
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(directory);
});

function run(command: string, spoolDirectory: string): Promise<Done> {
  const config = {
    cniVersion: "1.1.0",
    name: "net",
    agent_socket: socketPath,
    spool_dir: spoolDirectory,
    prevResult: { interfaces: [{ name: "eth0", sandbox: "/run/netns/pod" }] },
  };
  return runPlugin({
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/pod",
      CNI_IFNAME: "eth0",
    },
    readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(JSON.stringify(config)) }),
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  });
}

function errorIn({ exit, stdout, stderr }: Done): Record<string, unknown> {
  expect({ exit, lines: stderr.split("\n").length }).toEqual({ exit: 1, lines: 2 });
  return JSON.parse(stdout);
}

describe("runPlugin() and a socket of somebody else", () => {
  it("says nothing to it, fails, and keeps a DEL", async () => {
    chownSync(socketPath, SOMEBODY, SOMEBODY);
    connections = 0;
    try {
      const said = `the socket belongs to user ${SOMEBODY}, who is not trusted`;
      for (const [command, code] of [
        ["ADD", 11],
        ["CHECK", 11],
        ["GC", 11],
        ["STATUS", 50],
      ] as const) {
        expect(errorIn(await run(command, join(directory, "none")))).toMatchObject({
          code,
          msg: expect.stringContaining(said),
        });
      }
      const spool = join(directory, "kept");
      const kept = await run("DEL", spool);
      expect(kept).toMatchObject({ exit: 0, stdout: "", stderr: expect.stringContaining(said) });
      expect(readdirSync(spool)).toEqual(["net@c1@eth0.del"]);
      expect(existsSync(join(directory, "none"))).toBe(false);
      expect(connections).toBe(0);
    } finally {
      chownSync(socketPath, 0, 0);
    }
    expect(errorIn(await run("ADD", directory))).toMatchObject({ code: 11 });
    expect(connections).toBe(1);
  });
});

describe("runPlugin() and a spool directory that cannot be used", () => {
  it("refuses one of somebody else", async () => {
    const spool = join(directory, "theirs");
    mkdirSync(spool);
    chownSync(spool, SOMEBODY, SOMEBODY);
    expect(errorIn(await run("DEL", spool))).toMatchObject({
      code: 11,
      msg: expect.stringContaining("the directory belongs to somebody else"),
    });
    expect(readdirSync(spool)).toEqual([]);
  });

  it("fails on a full disk, leaves nothing there, and keeps the DEL once there is room", async () => {
    for (const [size, fill] of [
      ["size=4k", "x".repeat(4_096)],
      ["nr_inodes=2", ""],
    ] as const) {
      await onDisk(size, async (spool) => {
        writeFileSync(join(spool, "fill"), fill);
        expect(errorIn(await run("DEL", spool)), size).toMatchObject({
          code: 11,
          msg: expect.stringContaining("there is no space left (ENOSPC)"),
        });
        expect(readdirSync(spool)).toEqual(["fill"]);
        rmSync(join(spool, "fill"));
        expect(await run("DEL", spool)).toMatchObject({ exit: 0 });
        expect(readdirSync(spool)).toEqual(["net@c1@eth0.del"]);
      });
    }
  });

  it("fails on a file system that is read-only", async () => {
    await onDisk("ro", async (spool) => {
      expect(errorIn(await run("DEL", spool))).toMatchObject({
        code: 11,
        msg: expect.stringContaining("the file system is read-only (EROFS)"),
      });
    });
  });
});

/** `use` with a file system of its own, which is gone afterwards. */
async function onDisk(option: string, use: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(directory, "disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,${option}`, "tmpfs", path]);
  try {
    await use(path);
  } finally {
    execFileSync("umount", [path]);
  }
}
