import {
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Attachment } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { encodeSpooled, SPOOL_BYTES_MAX, type SpooledDel, spoolName } from "../../proto/spool.ts";
import { openSpool, type Pending, type Spool, type SpoolNotice } from "./spool.ts";

let directory = "";
let notices: SpoolNotice[] = [];
let opened: Spool[] = [];
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "terway-spool-")), "spool");
  notices = [];
  opened = [];
});
afterEach(async () => {
  for (const spool of opened) await spool[Symbol.asyncDispose]();
  rmSync(join(directory, ".."), { recursive: true, force: true });
});

function attachment(containerId: string): Attachment {
  return { network: "terway", containerId, ifName: "eth0" };
}

function nameOf(containerId: string): string {
  return spoolName(attachment(containerId)) ?? "";
}

/** As the plugin does it: whole, or not there. */
function keep(containerId: string, text?: string): void {
  const path = join(directory, nameOf(containerId));
  const temporary = join(directory, `.${nameOf(containerId)}.99`);
  writeFileSync(temporary, text ?? encodeSpooled({ attachment: attachment(containerId), netns: "" }));
  renameSync(temporary, path);
}

type CarryOut = (del: SpooledDel, pending: Pending) => Promise<Result<void>>;

const finishing: CarryOut = async (_, { finish }) => {
  finish();
  return ok(undefined);
};

function report(notice: SpoolNotice): void {
  notices.push(notice);
}

function open(carryOut: CarryOut = finishing): Spool {
  const made = openSpool({ directory, carryOut, report, nowMs: () => performance.now() });
  if (!made.ok) throw new Error(made.fault);
  opened.push(made.value);
  return made.value;
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !holds(); tries++)
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  expect(holds()).toBe(true);
}

describe("openSpool()", () => {
  it("makes a private directory, and makes one private that is not", async () => {
    open();
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  it("refuses what is no directory", () => {
    symlinkSync("/tmp", directory);
    const made = openSpool({ directory, carryOut: finishing, report: () => undefined, nowMs: () => 0 });
    expect(made).toEqual({ ok: false, fault: expect.stringContaining(directory) });
  });

  it("carries out what is kept, then removes it", async () => {
    const seen: SpooledDel[] = [];
    const spool = open(async (del, pending) => {
      seen.push(del);
      return finishing(del, pending);
    });
    keep("a");
    expect(spool.has(attachment("a"))).toBe(true);
    await spool.replay();
    expect(seen).toEqual([{ attachment: attachment("a"), netns: "" }]);
    expect(readdirSync(directory)).toEqual([]);
    expect(spool.has(attachment("a"))).toBe(false);
    expect(notices).toEqual([{ kind: "carried-out", attachment: attachment("a") }]);
  });

  it("notices a new file by itself", async () => {
    open();
    keep("late");
    await until(() => readdirSync(directory).length === 0);
    expect(notices).toEqual([{ kind: "carried-out", attachment: attachment("late") }]);
  });

  it("tries a DEL again that failed, later and later", async () => {
    let tries = 0;
    const spool = open(async (del, pending) => {
      tries += 1;
      if (tries < 2) return failed({ kind: "not-ready", reason: "it is starting" });
      return finishing(del, pending);
    });
    keep("a");
    await spool.replay();
    expect(notices).toMatchObject([{ kind: "failed", retryMs: 1000, fault: { kind: "not-ready" } }]);
    // Not before its time.
    await spool.replay();
    expect(tries).toBe(1);
    await until(() => readdirSync(directory).length === 0);
    expect(notices.at(-1)).toEqual({ kind: "carried-out", attachment: attachment("a") });
  });

  it("leaves a newer DEL of the same name in place", async () => {
    const seen: boolean[] = [];
    const spool = open(async (_, { finish, isPending }) => {
      if (seen.length === 0) {
        rmSync(join(directory, nameOf("a")));
        keep("a");
      }
      seen.push(isPending());
      finish();
      return ok(undefined);
    });
    keep("a");
    await spool.replay();
    await until(() => readdirSync(directory).length === 0);
    expect(seen).toEqual([false, true]);
  });

  it("forgets a DEL that an ADD has carried out", () => {
    const spool = open();
    keep("a");
    expect(spool.forget(attachment("a"))).toEqual(ok(undefined));
    expect(spool.forget(attachment("a"))).toEqual(ok(undefined));
    expect(readdirSync(directory)).toEqual([]);
  });

  it("has none for an attachment whose name is too long for a file", () => {
    const spool = open();
    const long = { ...attachment("a".repeat(300)) };
    expect(spool.has(long)).toBe(false);
    expect(spool.forget(long)).toEqual(ok(undefined));
  });

  it("sets aside what is no DEL, once, and leaves other files alone", async () => {
    const spool = open();
    const whole = encodeSpooled({ attachment: attachment("cut"), netns: "" });
    keep("cut", whole.slice(0, 30));
    keep("large", "x".repeat(SPOOL_BYTES_MAX + 1));
    keep("other", whole);
    symlinkSync("/etc/passwd", join(directory, nameOf("link")));
    writeFileSync(join(directory, "README"), "not ours");
    await spool.replay();
    await spool.replay();
    const reasons = notices
      .map((notice) => (notice.kind === "rejected" ? notice.reason : notice.kind))
      .sort();
    expect(reasons).toEqual(
      [
        "it cannot be opened: ELOOP: too many symbolic links encountered, open",
        "it has 8193 bytes, 8192 at most are read",
        "it is not JSON; it may have been cut off",
        "its name is not that of its attachment",
      ].map((text) => expect.stringContaining(text)),
    );
    const left = ["README", ...["cut", "large", "link", "other"].map((id) => `${nameOf(id)}.rejected`)];
    expect(readdirSync(directory).sort()).toEqual(left.sort());
  });

  it("removes half a file whose writer was killed, when it is old enough", async () => {
    const spool = open();
    const [old, young] = [join(directory, ".a.del.1"), join(directory, ".b.del.2")];
    for (const path of [old, young]) writeFileSync(path, "half");
    utimesSync(old, 0, 0);
    await spool.replay();
    expect(readdirSync(directory)).toEqual([".b.del.2"]);
  });
});
