import { describe, expect, it } from "vitest";
import { DEFAULT_SOCKET, DEFAULT_SPOOL_DIR } from "../../../proto/paths.ts";
import { type AgentPaths, confList } from "./conf-list.ts";

const DEFAULTS: AgentPaths = { socketPath: DEFAULT_SOCKET, spoolDir: DEFAULT_SPOOL_DIR };
const OWN: AgentPaths = { socketPath: "/run/t/agent.sock", spoolDir: "/run/t/spool" };
const OWN_KEYS = { agent_socket: "/run/t/agent.sock", spool_dir: "/run/t/spool" };

function listOf(source: object, paths: AgentPaths): unknown {
  const made = confList(JSON.stringify(source), paths);
  return made.ok ? JSON.parse(made.value) : made.fault;
}

describe("confList()", () => {
  it("wraps one plugin with the same name and version", () => {
    const conf = { cniVersion: "0.4.0", name: "net", type: "terway", mtu: 1400 };
    const plugin = { type: "terway", mtu: 1400 };
    expect(listOf(conf, DEFAULTS)).toEqual({ cniVersion: "0.4.0", name: "net", plugins: [plugin] });
    expect(listOf(conf, OWN)).toEqual({
      cniVersion: "0.4.0",
      name: "net",
      plugins: [{ ...plugin, ...OWN_KEYS }],
    });
  });

  it("keeps a list as it is, and tells terway alone where the agent is", () => {
    const conf = {
      cniVersion: "1.1.0",
      name: "net",
      disableCheck: true,
      plugins: [
        { type: "terway", agent_socket: "/elsewhere" },
        { type: "portmap", snat: true },
      ],
    };
    const others = [{ type: "portmap", snat: true }];
    expect(listOf(conf, OWN)).toEqual({ ...conf, plugins: [{ type: "terway", ...OWN_KEYS }, ...others] });
    expect(listOf(conf, DEFAULTS)).toEqual({ ...conf, plugins: [{ type: "terway" }, ...others] });
  });

  it("says why a text makes no list", () => {
    expect(confList("{", OWN)).toEqual({ ok: false, fault: "it is not a JSON object" });
    expect(confList("[]", OWN)).toEqual({ ok: false, fault: "it is not a JSON object" });
    expect(listOf({ plugins: [1] }, OWN)).toBe("plugins is not a list of objects");
    expect(listOf({ plugins: [{ type: "bridge" }] }, OWN)).toBe("plugins has none of type terway");
  });

  it("ends the text with a new line, for people", () => {
    const made = confList('{"name":"n","type":"terway"}', DEFAULTS);
    expect(made.ok && made.value).toBe(
      '{\n  "name": "n",\n  "plugins": [\n    {\n      "type": "terway"\n    }\n  ]\n}\n',
    );
  });
});
