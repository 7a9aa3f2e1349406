import { describe, expect, it } from "vitest";
import { nodeUtf8 } from "../node-host.ts";
import { begin } from "./command.ts";
import { type End } from "./done.ts";

/** The end of a DEL that nobody answered. */
function del(env: object = {}, config: object = {}): End {
  const start = begin({
    env: { CNI_COMMAND: "DEL", CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0", ...env },
    readStdin: () => {
      const whole = { cniVersion: "0.4.0", name: "net", agent_socket: "/a.sock", ...config };
      return { kind: "read", bytes: nodeUtf8.encode(JSON.stringify(whole)) };
    },
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  });
  return start.kind === "call" ? start.call.failed("ENOENT") : start;
}

const LOST = "the terway agent does not answer at /a.sock: there is no such socket (ENOENT)";

describe("keepDel()", () => {
  it("takes the directory of the configuration, of the environment, or the usual one", () => {
    const variable = { TERWAY_SPOOL_DIR: "/var/env///" };
    for (const [env, config, directory] of [
      [{}, {}, "/var/lib/terway/spool"],
      [{}, { spool_dir: "" }, "/var/lib/terway/spool"],
      [variable, {}, "/var/env"],
      [variable, { spool_dir: "/var/conf/" }, "/var/conf"],
      [{}, { spool_dir: "/" }, "/"],
    ] as const) {
      expect(del(env, config)).toMatchObject({ kind: "spool", directory });
    }
  });

  it("is not reached with a directory that can be none, whatever the command", () => {
    for (const CNI_COMMAND of ["DEL", "ADD"]) {
      const env = { CNI_COMMAND, CNI_NETNS: "/n" };
      for (const spool_dir of ["spool", 7, ["/a"], "/a\0b", `/${"a".repeat(4_000)}`]) {
        expect(errorIn(del(env, { spool_dir })), String(spool_dir).slice(0, 20)).toMatchObject({
          code: 7,
          msg: expect.stringContaining("spool_dir"),
        });
      }
      expect(errorIn(del({ ...env, TERWAY_SPOOL_DIR: "spool" }))).toMatchObject({
        code: 4,
        msg: '"spool" must be an absolute path: TERWAY_SPOOL_DIR',
      });
    }
  });

  it("keeps an empty CNI_NETNS", () => {
    const text = '{"format":1,"network":"net","containerId":"c1","ifName":"eth0","netns":""}\n';
    expect(del({ CNI_NETNS: "" })).toMatchObject({ kind: "spool", name: "net@c1@eth0.del", text });
  });

  it("leaves out a CNI_NETNS that no file of the spool has room for", () => {
    const short = del({ CNI_NETNS: `/${"n".repeat(2_000)}` });
    expect(short).toMatchObject({ text: expect.stringContaining("nnn") });
    expect(del({ CNI_NETNS: `/${"\u65e5".repeat(2_800)}` })).toMatchObject({
      kind: "spool",
      text: '{"format":1,"network":"net","containerId":"c1","ifName":"eth0","netns":""}\n',
    });
  });

  it("fails with code 11 where no file can have the name", () => {
    expect(errorIn(del({ CNI_CONTAINERID: "c".repeat(240) }))).toEqual({
      cniVersion: "0.4.0",
      code: 11,
      msg:
        "the DEL could not be kept for the agent in /var/lib/terway/spool: the network's name or the container's id is " +
        `too long for a file's name. It was to be kept because ${LOST}`,
      details: "make room in the directory, which has to belong to root; the runtime will try again",
    });
  });

  it("says why the file could not be written, and what it was for", () => {
    for (const [reason, said] of [
      ["NOT_OWNED", "the directory belongs to somebody else"],
      ["WRITABLE_BY_OTHERS", "group or others may write into the directory"],
      ["FULL", "4096 files are in it already"],
      ["ENOTDIR", "it is not a directory but a file or a symbolic link (ENOTDIR)"],
      ["ELOOP", "it is not a directory but a file or a symbolic link (ELOOP)"],
      ["ENOSPC", "there is no space left (ENOSPC)"],
      ["EDQUOT", "there is no space left (EDQUOT)"],
      ["EROFS", "the file system is read-only (EROFS)"],
      ["EACCES", "the plugin may not write there (EACCES)"],
      ["EIO", "EIO"],
    ] as const) {
      const end = del();
      if (end.kind !== "spool") throw new Error(end.stdout);
      const where = "the DEL could not be kept for the agent in /var/lib/terway/spool";
      expect(errorIn(end.failed(reason)), reason).toMatchObject({
        code: 11,
        msg: `${where}: ${said}. It was to be kept because ${LOST}`,
      });
    }
  });
});

function errorIn(end: End): Record<string, unknown> {
  if (end.kind !== "done") throw new Error("the DEL was kept");
  expect(end.exit).toBe(1);
  return JSON.parse(end.stdout);
}
