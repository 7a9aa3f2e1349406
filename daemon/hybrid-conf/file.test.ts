import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HybridNews } from "../core/hybrid/source.ts";
import { openHybridConf, readHybridConf } from "./file.ts";

const EXAMPLE = readFileSync(new URL("../core/hybrid/example.jsonc.txt", import.meta.url), "utf8");
const WITHOUT_ONE = EXAMPLE.replace(/,\s*\{ "name": "idc-3"[^}]*\}/, "");

let directory: string;
let path: string;
let heard: HybridNews[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tw-hybrid-"));
  path = join(directory, "network.jsonc");
  heard = [];
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open() {
  return openHybridConf({
    path,
    onNews: (news) => heard.push(news),
    onUnwatched: (reason) => heard.push({ kind: "unusable", report: reason }),
  });
}

/** Names of the sound records, or the first line of the report. */
function told(news: HybridNews | undefined): string {
  if (news === undefined) return "nothing";
  return news.kind === "view"
    ? news.view.nodes.map(({ name }) => name).join(" ")
    : (news.report.split("\n")[0] ?? "");
}

async function next(count: number): Promise<string> {
  await expect.poll(() => heard.length, { timeout: 5000, interval: 5 }).toBeGreaterThanOrEqual(count);
  return told(heard[count - 1]);
}

describe("readHybridConf()", () => {
  it("says why there is nothing to read", () => {
    expect(readHybridConf(path)).toEqual({
      kind: "unusable",
      report: `${path}: error: it cannot be read: ENOENT: no such file or directory, open '${path}'\n  = give the path of a file with the hybrid network (docs/hybrid-configuration.md) to --hybrid-conf`,
    });
    expect(told(readHybridConf(directory))).toBe(`${directory}: error: it is not a file`);
  });

  it("reports the records that it leaves out, at their places", () => {
    writeFileSync(path, EXAMPLE.replace("10.245.2.0/24", "10.246.2.0/24"));
    const news = readHybridConf(path);
    expect(told(news)).toBe("idc-1 idc-3");
    expect(news.report).toMatch(
      /network\.jsonc:16:\d+: error: nodes\[1\]\.blocks\[0\] is 10\.246\.2\.0\/24, outside of podCIDRs \(10\.245\.0\.0\/16\)\n {2}16 \| .*\n.*\^/,
    );
  });
});

describe("openHybridConf()", () => {
  it("tells a rename and a write in place, once each, and nothing where the file says the same", async () => {
    writeFileSync(path, EXAMPLE);
    using source = open();
    expect(told(source.news())).toBe("idc-1 idc-2 idc-3");
    writeFileSync(join(directory, "new"), WITHOUT_ONE);
    renameSync(join(directory, "new"), path);
    expect(await next(1)).toBe("idc-1 idc-2");
    writeFileSync(path, WITHOUT_ONE);
    writeFileSync(path, EXAMPLE);
    expect(await next(2)).toBe("idc-1 idc-2 idc-3");
    expect(source.news()).toBe(heard[1]);
    expect(heard).toHaveLength(2);
  });

  it("says where a file was cut off, and takes it when it is whole", async () => {
    writeFileSync(path, EXAMPLE);
    using source = open();
    writeFileSync(path, EXAMPLE.slice(0, 400));
    expect(await next(1)).toMatch(/network\.jsonc:\d+:\d+: error: not JSON: /);
    expect(source.news().kind).toBe("unusable");
    writeFileSync(path, WITHOUT_ONE);
    expect(await next(2)).toBe("idc-1 idc-2");
  });

  it("notices that the file goes and comes, and follows the links of a mounted ConfigMap", async () => {
    for (const [name, text] of [
      ["..one", EXAMPLE],
      ["..two", WITHOUT_ONE],
    ] as const) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "network.jsonc"), text);
    }
    symlinkSync("..one", join(directory, "..data"));
    symlinkSync("..data/network.jsonc", path);
    using source = open();
    expect(told(source.news())).toBe("idc-1 idc-2 idc-3");
    symlinkSync("..two", join(directory, "..tmp"));
    renameSync(join(directory, "..tmp"), join(directory, "..data"));
    expect(await next(1)).toBe("idc-1 idc-2");
    rmSync(path);
    expect(await next(2)).toMatch(/error: it cannot be read: ENOENT/);
    writeFileSync(path, EXAMPLE);
    expect(await next(3)).toBe("idc-1 idc-2 idc-3");
  });

  it("says that it cannot watch a directory that is not there", () => {
    path = join(directory, "nowhere", "network.jsonc");
    using source = open();
    expect(told(heard[0])).toMatch(/nowhere cannot be watched: ENOENT/);
    expect(source.news().kind).toBe("unusable");
  });
});
