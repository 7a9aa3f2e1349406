import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Mac, parseMac } from "../../proto/addr.ts";
import { openHostFiles, removeHostFiles } from "./host-files.ts";
import { openLog } from "./log.ts";

const FILE = "etc/NetworkManager/conf.d/99-terway.conf";

function eni(number: number): Mac {
  const mac = parseMac(`00:16:3e:00:00:0${number}`);
  if (mac === undefined) throw new Error(`${number}`);
  return mac;
}

describe("openHostFiles()", () => {
  it("ends with the files of the last ENIs, and takes all away", async () => {
    const root = mkdtempSync(join(tmpdir(), "terway-host-"));
    try {
      const path = join(root, FILE);
      mkdirSync(join(root, "etc/NetworkManager/conf.d"), { recursive: true });
      {
        await using files = openHostFiles(root, openLog("silent"));
        files.onEnis([]);
        files.onEnis([eni(1)]);
        files.onEnis([eni(2), eni(1)]);
        files.onEnis([eni(2)]);
      }
      const text = readFileSync(path, "utf8");
      expect([text.includes(eni(1)), text.includes(eni(2))]).toEqual([false, true]);
      await removeHostFiles(root, openLog("silent"));
      expect(existsSync(path)).toBe(false);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});
