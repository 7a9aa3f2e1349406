/** Client, apply and removal over a thread in memory that answers as a kernel does. */
import { describe, expect, it } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { parseIpv4 } from "../../proto/addr.ts";
import { hostCidr } from "../../proto/cidr6.ts";
import { podElement } from "../core/datapath/pod-plan.ts";
import { type Plan, type Thing } from "../core/datapath/thing.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { openClient, type Client } from "./client.ts";
import { encodeAck } from "./codec/error.ts";
import { frame, messagesOf, NLM_F, NLMSG } from "./codec/header.ts";
import { encodeLink, getLink, RTM_LINK } from "./codec/link.ts";
import { dumpLinks } from "./codec/dump.ts";
import { decodeLink } from "./codec/link.ts";
import { type Exchange, type ExchangeOutcome, type JobResult } from "./job.ts";
import { type Leaving, openRemoval } from "./removal.ts";
import { type SocketThread } from "./socket.ts";

/** What a kernel says to one request: an error number, and messages before it. */
type Said = { readonly errno: number; readonly text?: string; readonly messages?: readonly Uint8Array[] };

/** Answers each request by `say`; remembers their types and in how many jobs they came. */
function fakeThread(say: (type: number, payload: Uint8Array, nth: number) => Said): {
  readonly thread: SocketThread;
  readonly types: number[];
  readonly jobs: () => number;
} {
  const types: number[] = [];
  let jobs = 0;
  const exchange = (of: Exchange): { outcome: ExchangeOutcome; refused: boolean } => {
    if (of.family === "files")
      return { outcome: { kind: "written", errnos: of.settings.map(() => 0) }, refused: false };
    const { bytes, tolerated } = of;
    const parts: Uint8Array[] = [];
    let refused = false;
    for (const { type, seq, flags, payload } of messagesOf(bytes)) {
      const { errno, text, messages = [] } = say(type, payload, types.length);
      types.push(type);
      refused ||= errno !== 0 && !tolerated.includes(errno);
      parts.push(...messages.map((message) => frame({ type: RTM_LINK.NEW, flags: 0, seq }, message)));
      const isDump = (flags & NLM_F.DUMP) === NLM_F.DUMP;
      const ack = encodeAck({ errno, request: { type, seq }, ...(text !== undefined && { message: text }) });
      if (isDump && errno === 0) parts.push(frame({ type: NLMSG.DONE, flags: 0, seq }, new Uint8Array(4)));
      else if (errno !== 0 || (flags & NLM_F.ACK) !== 0) parts.push(frame(ack, ack.payload));
    }
    return { outcome: { kind: "answered", bytes: Buffer.concat(parts) }, refused };
  };
  const run = (job: Parameters<SocketThread["run"]>[0]): Promise<JobResult> => {
    jobs += 1;
    if (job.kind !== "exchange") return Promise.resolve({ kind: "closed" });
    let stopped = false;
    const outcomes = job.exchanges.map((each): ExchangeOutcome => {
      if (stopped) return { kind: "skipped" };
      const { outcome, refused } = exchange(each);
      stopped = refused;
      return outcome;
    });
    return Promise.resolve({ kind: "exchanged", outcomes });
  };
  return { thread: { run, [Symbol.asyncDispose]: () => Promise.resolve() }, types, jobs: () => jobs };
}

function clientOf(thread: Partial<SocketThread>): Client {
  return openClient({
    run: () => Promise.resolve({ kind: "expired" }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
    ...thread,
  });
}

const fine: Said = { errno: 0 };
const address = parseIpv4("10.0.1.20") ?? raise();
const rule = (priority: number): Thing => ({ kind: "rule", family: 4, priority, table: 7400 });
const device = { name: "tw0", ifIndex: 3 };
const route: Thing = { kind: "route", place: "node", table: 7400, device, to: hostCidr(address) };
const element: Thing = podElement(device, address, "eni0");

function raise(): never {
  throw new Error("unreachable");
}

describe("openClient()", () => {
  it("gives each request its answer, with the kernel's words", async () => {
    const link = encodeLink({ index: 7, name: "eth0" });
    const { thread } = fakeThread((_type, _payload, nth) =>
      nth === 1 ? { errno: 22, text: "Invalid index" } : { errno: 0, messages: [link] },
    );
    const requests = [1, 2, 3].map((index) => getLink({ index }));
    const asked = await openClient(thread).ask([
      { family: "route", requests, ack: "each" },
      { family: "route", requests, ack: "each" },
    ]);
    const kinds = asked.ok ? asked.value.map((answers) => answers.map(({ kind }) => kind)) : [];
    expect(kinds).toEqual([
      ["done", "refused", "done"],
      ["skipped", "skipped", "skipped"],
    ]);
    expect(asked.ok && asked.value[0]?.[1]).toEqual({
      kind: "refused",
      errno: "EINVAL",
      extAck: "Invalid index",
    });
  });

  it("reads a dump, and says what the kernel refused", async () => {
    const links = [1, 2].map((index) => encodeLink({ index, name: `eth${index}` }));
    const { thread } = fakeThread(() => ({ errno: 0, messages: links }));
    const dumped = await openClient(thread).dump("links", dumpLinks(), decodeLink);
    expect(dumped.ok && dumped.value.map(({ name }) => name)).toEqual(["eth1", "eth2"]);
    const refused = await openClient(fakeThread(() => ({ errno: 1 })).thread).dump(
      "links",
      dumpLinks(),
      decodeLink,
    );
    expect(refused).toEqual({ ok: false, fault: { kind: "kernel", op: "links", errno: "EPERM" } });
  });

  it("turns a thread that is busy, gone or cut off into a fault", async () => {
    const faults: (Fault | undefined)[] = [];
    const results: JobResult[] = [
      { kind: "expired" },
      { kind: "failed", failure: { call: "netlink thread", errno: 108 } },
      {
        kind: "exchanged",
        outcomes: [{ kind: "failed", bytes: new Uint8Array(), failure: { call: "recv", errno: 11 } }],
      },
    ];
    for (const result of results) {
      const asked = await clientOf({ run: () => Promise.resolve(result) }).ask([
        { family: "route", requests: [getLink({ index: 1 })], ack: "each" },
      ]);
      faults.push(asked.ok ? undefined : asked.fault);
    }
    expect(faults).toEqual([
      { kind: "not-ready", reason: "netlink: the netlink thread is too busy" },
      { kind: "kernel", op: "netlink: netlink thread", errno: "ESHUTDOWN" },
      { kind: "kernel", op: "netlink: recv", errno: "EAGAIN" },
    ]);
  });
});

describe("applyPlan()", () => {
  it("undoes what was done, last first, whichever thing is refused", async () => {
    const plan = [rule(1), route, rule(2), element];
    // RTM_NEWRULE 32, RTM_NEWROUTE 24 and their DEL after them; NFT_MSG_NEWSETELEM and _DEL in a batch of three.
    const expected = [
      [32, 24, 32, 33, 25],
      [32, 24, 32, 33, 33],
      [32, 24, 32, 25, 33],
      [32, 24, 32, 16, 2572, 17, 33, 25, 33],
    ];
    for (const [at, types] of expected.entries()) {
      // The kernel goes on past a refusal within a send; in the batch the element is the second message.
      const failing = at === 3 ? 4 : at;
      const fake = fakeThread((_type, _payload, nth) => (nth === failing ? { errno: 16 } : fine));
      const applied = await applyPlan(openClient(fake.thread), plan);
      expect(applied).toMatchObject({
        ok: false,
        thing: plan[at],
        fault: { kind: "kernel", errno: "EBUSY" },
      });
      expect(fake.types, String(at)).toEqual(types);
    }
  });

  it("takes one job where nothing fails, and what is there already for done", async () => {
    const fake = fakeThread((type) => (type === 32 ? { errno: 17 } : fine));
    expect(await applyPlan(openClient(fake.thread), [rule(1), element, route])).toEqual({ ok: true });
    expect([fake.jobs(), fake.types]).toEqual([1, [32, 16, 2572, 17, 24]]);
  });

  it("says so where undoing fails too, and goes on with it", async () => {
    const fake = fakeThread((type, _payload, nth) => ({ errno: type === 33 ? 1 : nth === 2 ? 16 : 0 }));
    const applied = await applyPlan(openClient(fake.thread), [rule(1), route, rule(2)]);
    expect(applied.ok ? "" : applied.fault).toEqual({
      kind: "kernel",
      op: "rule 2 from all lookup 7400 (and undoing: rule 1 from all lookup 7400: EPERM)",
      errno: "EBUSY",
    });
    expect(fake.types).toEqual([32, 24, 32, 25, 33]);
  });

  it("undoes all where the sockets failed and nobody knows what was done", async () => {
    let jobs = 0;
    const client = clientOf({
      run: () => {
        jobs += 1;
        return Promise.resolve({ kind: "failed", failure: { call: "send", errno: 105 } });
      },
    });
    expect(await applyPlan(client, [rule(1), route])).toMatchObject({ ok: false, thing: rule(1) });
    expect(jobs).toBe(2);
  });
});

describe("removePlan()", () => {
  it("goes on past failures, and takes what is gone for done", async () => {
    const fake = fakeThread((_type, _payload, nth) => ({ errno: [2, 1, 0][nth] ?? 0 }));
    const plan: Plan = [1, 2, 3].map(rule);
    expect(await removePlan(openClient(fake.thread), plan)).toEqual({
      ok: false,
      fault: { kind: "kernel", op: "rule 2 from all lookup 7400", errno: "EPERM" },
    });
    expect(fake.types).toEqual([33, 33, 33]);
  });
});

function leaving(count: number): Leaving[] {
  return Array.from({ length: count }, (_, at) => ({ hostName: `tw${at}`, addresses: { v4: address } }));
}

/** No address of IPv6, so nothing is kept for later. */
const NONE = { add: () => {} };

describe("openRemoval()", () => {
  const link = encodeLink({ index: 7, group: 21_504 });

  /** Pods' links are there, and nothing that delays for them. */
  function says(type: number, payload: Uint8Array): Said {
    const isThere = type === RTM_LINK.GET && decodeLink(payload).name?.startsWith("tw") === true;
    return isThere ? { errno: 0, messages: [link] } : { errno: type === RTM_LINK.GET ? 19 : 0 };
  }

  it("takes away what comes meanwhile together, in bulks that fit one send, and deletes no link", async () => {
    const fake = fakeThread(says);
    const doomed: number[] = [];
    const removal = openRemoval(openClient(fake.thread), { add: (count) => doomed.push(count) }, NONE);
    const results = await Promise.all(leaving(150).map((pod) => removal.remove(pod)));
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(doomed).toEqual([33, 33, 33, 33, 18]);
    // NFNL_MSG_BATCH_END has the number of RTM_DELLINK.
    expect(fake.types.filter((type) => type === RTM_LINK.DEL).length).toBe(5);
  });

  it("cuts a pod off in this order: element, route, neighbour, group", async () => {
    const fake = fakeThread(says);
    const removal = openRemoval(openClient(fake.thread), { add: () => {} }, NONE);
    await Promise.all(leaving(1).map((pod) => removal.remove(pod)));
    // RTM_GETLINK twice, the batch with NFT_MSG_DELSETELEM, RTM_DELROUTE, RTM_DELNEIGH, RTM_NEWLINK; connections may follow.
    expect(fake.types.slice(0, 8)).toEqual([18, 18, 16, 2574, 17, 25, 29, 16]);
  });

  it("dooms nothing that is not ours, and nothing that is not there", async () => {
    for (const messages of [[encodeLink({ index: 7 })], []]) {
      const fake = fakeThread((type) => ({ errno: 0, messages: type === RTM_LINK.GET ? messages : [] }));
      const doomed: number[] = [];
      const removal = openRemoval(openClient(fake.thread), { add: (count) => doomed.push(count) }, NONE);
      expect(await removal.remove({ hostName: "tw0", addresses: { v4: address } })).toEqual({
        ok: true,
        value: undefined,
      });
      // RTM_GETLINK twice, once more for all labels, and NFT_MSG_GETSETELEM: whether its element outlived it.
      expect([doomed, fake.types.slice(0, 4)]).toEqual([[], [18, 18, 18, 2573]]);
    }
  });

  it("tells everybody of the bulk what was refused", async () => {
    const fake = fakeThread((type) => ({ errno: type === RTM_LINK.GET ? 12 : 0 }));
    const removal = openRemoval(openClient(fake.thread), { add: () => {} }, NONE);
    const both = await Promise.all(leaving(2).map((pod) => removal.remove(pod)));
    const fault = { kind: "kernel", op: "ip link show tw0", errno: "ENOMEM" };
    expect(both).toEqual([
      { ok: false, fault },
      { ok: false, fault },
    ]);
  });
});
