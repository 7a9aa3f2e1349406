import { describe, expect, it } from "vitest";
import { parseArguments, rootRefusal } from "./arguments.ts";

describe("parseArguments()", () => {
  it("has a default for everything", () => {
    expect(parseArguments([])).toEqual({
      ok: true,
      value: {
        configDir: "/etc/eni",
        secretDir: "/var/alibaba-addon-secret",
        stateDir: "/var/lib/terway",
        socketPath: "/var/run/terway/agent.sock",
        spoolDir: "/var/lib/terway/spool",
        bootIdPath: "/proc/sys/kernel/random/boot_id",
        cniCacheDir: "/var/lib/cni",
        logLevel: "info",
        drain: false,
        check: false,
        help: false,
      },
    });
  });

  it("looks for kept DELs in the state directory, unless told otherwise", () => {
    expect(parseArguments(["--state-dir", "/s"])).toMatchObject({
      ok: true,
      value: { spoolDir: "/s/spool" },
    });
    expect(parseArguments(["--state-dir", "/s", "--spool-dir", "/p", "--cni-conf-dir", "/c"])).toMatchObject({
      ok: true,
      value: { spoolDir: "/p", cniConfDir: "/c" },
    });
    expect(parseArguments(["--host-root", "/host"])).toMatchObject({
      ok: true,
      value: { hostRoot: "/host" },
    });
  });

  it("takes the file of a hybrid network and the node's name together, or neither", () => {
    expect(parseArguments(["--hybrid-conf", "/f", "--node-name", "n"])).toMatchObject({
      ok: true,
      value: { hybrid: { confPath: "/f", nodeName: "n" } },
    });
    expect(parseArguments(["--hybrid-conf", "/f"])).toEqual({
      ok: false,
      fault: "--hybrid-conf needs --node-name: which record of the file is this node's",
    });
    expect(parseArguments(["--node-name", "n"])).toEqual({
      ok: false,
      fault: "--node-name is for --hybrid-conf, which is missing",
    });
  });

  it("refuses what it does not know in one sentence", () => {
    const table: readonly (readonly [readonly string[], string])[] = [
      [["--nonsense"], "Unknown option '--nonsense'"],
      [["file"], "Unexpected argument 'file'"],
      [["--log-level", "loud"], "--log-level loud: give one of debug, info, warn, error, silent"],
      [["--socket"], "argument missing"],
    ];
    for (const [argv, text] of table) {
      const parsed = parseArguments(argv);
      expect(parsed.ok ? "accepted" : parsed.fault, argv.join(" ")).toContain(text);
    }
  });
});

describe("rootRefusal()", () => {
  it("lets root run the agent and nobody else", () => {
    expect(rootRefusal(0)).toBeUndefined();
    expect(rootRefusal(1000)).toBe("it configures the node's network and has to run as root");
  });
});
