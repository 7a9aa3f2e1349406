import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SOCKET, DEFAULT_SPOOL_DIR } from "../../proto/paths.ts";
import { ok } from "../../proto/result.ts";
import { publishConf, type PublishOptions } from "./publish.ts";

let directory = "";
let options: PublishOptions;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "terway-conf-"));
  options = {
    configDir: join(directory, "eni"),
    confDir: join(directory, "cni/net.d"),
    socketPath: DEFAULT_SOCKET,
    spoolDir: DEFAULT_SPOOL_DIR,
  };
  mkdirSync(options.configDir);
  writeFileSync(join(options.configDir, "10-terway.conf"), '{"name":"terway","type":"terway"}');
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function published(): unknown {
  return JSON.parse(readFileSync(join(options.confDir, "10-terway.conflist"), "utf8"));
}

describe("publishConf()", () => {
  it("writes the list, and nothing else beside it", () => {
    expect(publishConf(options)).toEqual(ok("written"));
    expect(published()).toEqual({ name: "terway", plugins: [{ type: "terway" }] });
    expect(readdirSync(options.confDir)).toEqual(["10-terway.conflist"]);
  });

  it("leaves a file alone that says the same already", () => {
    publishConf(options);
    const path = join(options.confDir, "10-terway.conflist");
    const before = statSync(path, { bigint: true });
    expect(publishConf(options)).toEqual(ok("same"));
    const after = statSync(path, { bigint: true });
    expect([after.ino, after.ctimeNs]).toEqual([before.ino, before.ctimeNs]);
  });

  it("takes the operator's list where there is one, and replaces what was there", () => {
    publishConf(options);
    const list = { name: "terway", plugins: [{ type: "terway" }, { type: "portmap" }] };
    writeFileSync(join(options.configDir, "10-terway.conflist"), JSON.stringify(list));
    expect(publishConf({ ...options, socketPath: "/run/a.sock" })).toEqual(ok("written"));
    expect(published()).toEqual({
      name: "terway",
      plugins: [{ type: "terway", agent_socket: "/run/a.sock" }, { type: "portmap" }],
    });
    expect(readdirSync(options.confDir)).toEqual(["10-terway.conflist"]);
  });

  it("says what is wrong, and leaves no half file", () => {
    writeFileSync(join(options.configDir, "10-terway.conflist"), "{");
    expect(publishConf(options)).toMatchObject({
      ok: false,
      fault: expect.stringContaining("not a JSON object"),
    });
    rmSync(join(options.configDir, "10-terway.conflist"));
    writeFileSync(join(directory, "cni"), "");
    expect(publishConf(options)).toMatchObject({ ok: false, fault: expect.stringContaining("ENOTDIR") });
    rmSync(join(directory, "cni"));
    mkdirSync(join(options.confDir, "10-terway.conflist"), { recursive: true });
    expect(publishConf(options)).toMatchObject({ ok: false, fault: expect.stringContaining("EISDIR") });
    expect(readdirSync(options.confDir)).toEqual(["10-terway.conflist"]);
  });
});
