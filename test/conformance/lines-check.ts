/**
 * C1 to C9: CHECK says what is wrong and changes nothing.
 *
 * @module
 */
import { type Added, type Bench, IFNAME } from "./bench.ts";
import { DELEGATE_FAILURE, openDelegate } from "./delegate.ts";
import { differences, type Footprint, footprintOf } from "./footprint.ts";
import { NO_DELEGATE, whileOn } from "./lines-add-failure.ts";
import { ip, ipJson, makeLink } from "./node.ts";
import { readResult, withoutLength } from "./result.ts";
import { objectOf, objectsOf, parseJson, textOf } from "./target.ts";
import { type Line, notOurs, type Trial } from "./trial.ts";
import { hasVerb } from "./version.ts";

/** Runs `work` where the plugin announces a version with CHECK. */
function checkLine(id: string, wants: string, work: (trial: Trial, bench: Bench) => Promise<void>): Line {
  return {
    id,
    wants,
    run: async (trial, bench) => {
      if (hasVerb(bench.version, "CHECK")) return work(trial, bench);
      return trial.skip("", `the plugin announces ${bench.version} at most, which has no CHECK`);
    },
  };
}

const C1 = checkLine(
  "C1",
  "prevResult is required and must be of this container, namespace and interface",
  async (trial, bench) => {
    const added = await bench.add();
    const other = await bench.newPod();
    trial.fails("CHECK without prevResult", await bench.call("CHECK", added.pod));
    trial.fails(
      "CHECK with prevResult null",
      await bench.call("CHECK", added.pod, { config: { prevResult: null } }),
    );
    const inOther = { CNI_NETNS: other.netns };
    trial.fails("CHECK with a sandbox that is not CNI_NETNS", await bench.check(added, { env: inOther }));
    const named = { CNI_IFNAME: "eth9" };
    trial.fails(
      "CHECK with an interface that prevResult does not have",
      await bench.check(added, { env: named }),
    );
    const stranger = await bench.check({ ...added, pod: other });
    trial.fails("CHECK of another container with this prevResult", stranger);
    trial.succeeds("CHECK with the result of ADD", await bench.check(added));
  },
);

type Spoil = { readonly what: string; readonly spoil: (added: Added) => Promise<boolean> };

/** Damages in the pod; each says whether there was anything to damage. */
const IN_POD: readonly Spoil[] = [
  {
    what: "the interface is missing",
    spoil: async ({ pod }) => {
      await ip(pod.namespace, "link", "del", IFNAME);
      return true;
    },
  },
  {
    what: "the interface is down",
    spoil: async ({ pod }) => {
      await ip(pod.namespace, "link", "set", IFNAME, "down");
      return true;
    },
  },
  {
    what: "the address is missing",
    spoil: async ({ pod }) => {
      await ip(pod.namespace, "address", "flush", "dev", IFNAME);
      return true;
    },
  },
  {
    what: "the address is another one",
    spoil: async ({ pod, result }) => {
      const routes = await ipJson(pod.namespace, "route", "show");
      const [first] = readResult(result).ips;
      const length = first?.address.split("/")[1];
      await ip(pod.namespace, "address", "flush", "dev", IFNAME);
      await ip(pod.namespace, "address", "add", `203.0.113.77/${length}`, "dev", IFNAME);
      for (const route of routes) await restore(pod.namespace, route);
      return true;
    },
  },
  {
    what: "a route is missing",
    spoil: async ({ pod, result }) => {
      const [route] = readResult(result).routes;
      if (route === undefined) return false;
      await ip(pod.namespace, "route", "del", route.dst);
      return true;
    },
  },
];

/** A route that went with the address it leans on. */
async function restore(namespace: string, route: Readonly<Record<string, unknown>>): Promise<void> {
  const gateway = textOf(route["gateway"]);
  const via = gateway === "" ? ["scope", "link"] : ["via", gateway, "onlink"];
  await ip(namespace, "route", "replace", textOf(route["dst"]), ...via, "dev", textOf(route["dev"]));
}

async function spoilt(trial: Trial, bench: Bench, { what, spoil }: Spoil): Promise<void> {
  const added = await bench.add();
  if (await spoil(added)) trial.fails(`CHECK where ${what}`, await bench.check(added));
  else trial.skip(what, "the result has no such thing");
  await bench.del(added);
}

/** The lines of a kind that an ADD brought to the node. */
function came(
  before: Footprint,
  after: Footprint,
  kind: string,
): readonly Readonly<Record<string, unknown>>[] {
  const prefix = `+ ${kind} `;
  return differences(before, after).flatMap((text) =>
    text.startsWith(prefix) ? [objectOf(parseJson(text.slice(prefix.length)))] : [],
  );
}

/** A plugin's agent may have put the damage right before CHECK has looked: then all is as it was before. */
async function failsOrMended(
  trial: Trial,
  bench: Bench,
  { what, added, whole }: { readonly what: string; readonly added: Added; readonly whole: Footprint },
): Promise<void> {
  const run = await bench.check(added);
  const isMended = run.end === 0 && differences(whole, await bench.footprint()).length === 0;
  if (isMended) trial.succeeds(`CHECK where ${what} for a moment`, run);
  else trial.fails(`CHECK where ${what}`, run);
}

async function spoiltNode(trial: Trial, bench: Bench): Promise<void> {
  const node = bench.driver.node;
  const before = await bench.footprint();
  const onNode = async (
    what: string,
    kind: string,
    spoil: (thing: Readonly<Record<string, unknown>>) => Promise<unknown>,
  ): Promise<void> => {
    const added = await bench.add();
    const things = came(before, await bench.footprint(), kind).filter((thing) => thing["table"] !== "local");
    const [thing] = things;
    if (thing === undefined) trial.skip(what, `ADD makes no ${kind} on the node`);
    else {
      const whole = await bench.footprint();
      await spoil(thing);
      await failsOrMended(trial, bench, { what, added, whole });
    }
    await bench.del(added);
  };
  await onNode("the link on the node is down", "link", (link) =>
    ip(node, "link", "set", textOf(link["ifname"]), "down"),
  );
  await onNode("the route on the node is missing", "route", (route) =>
    ip(
      node,
      "route",
      "del",
      textOf(route["dst"]),
      "dev",
      textOf(route["dev"]),
      "table",
      textOf(route["table"]) || "main",
    ),
  );
}

async function damages(trial: Trial, bench: Bench): Promise<void> {
  for (const { what, inflict } of bench.driver.damages ?? []) {
    const added = await bench.add();
    const address = withoutLength(readResult(added.result).ips[0]?.address ?? "");
    const whole = await bench.footprint();
    await inflict({ namespace: added.pod.namespace, containerId: added.pod.containerId, address });
    await failsOrMended(trial, bench, { what, added, whole });
    await bench.del(added);
  }
}

const C2 = checkLine(
  "C2",
  "error where an interface, address or route that ADD made is missing or wrong, in the pod or on the node",
  async (trial, bench) => {
    for (const spoil of IN_POD) await spoilt(trial, bench, spoil);
    await spoiltNode(trial, bench);
    await damages(trial, bench);
    const added = await bench.add();
    await bench.del(added);
    trial.fails("CHECK after DEL", await bench.check(added));
  },
);

const C3 = checkLine("C3", "what later plugins of a chain add is tolerated", async (trial, bench) => {
  const added = await bench.add();
  const { namespace } = added.pod;
  await ip(namespace, "route", "add", "203.0.113.0/24", "dev", IFNAME);
  trial.succeeds("CHECK with one more route", await bench.check(added));
  await makeLink(namespace, "after0");
  await ip(namespace, "address", "add", "198.51.100.8/24", "dev", "after0");
  await ip(namespace, "link", "set", "after0", "up");
  const prevResult = {
    ...added.result,
    interfaces: [...objectsOf(added.result["interfaces"]), await linkAs(added, "after0")],
  };
  trial.succeeds("CHECK with one more interface", await bench.check(added));
  const run = await bench.call("CHECK", added.pod, { config: { prevResult } });
  trial.succeeds("CHECK with one more interface that prevResult lists", run);
});

async function linkAs({ pod }: Added, name: string): Promise<Readonly<Record<string, unknown>>> {
  const [link] = (await ipJson(pod.namespace, "link", "show")).filter((one) => one["ifname"] === name);
  return { name, mac: link?.["address"], sandbox: pod.netns };
}

const C4 = checkLine("C4", "CHECK may come right after ADD", async (trial, bench) => {
  for (const time of [1, 2, 3]) {
    const added = await bench.add();
    trial.succeeds(`CHECK right after ADD, ${time} of 3`, await bench.check(added));
  }
});

const C5 = checkLine(
  "C5",
  "the agent cannot be reached: code 11, not a broken container",
  async (trial, bench) => {
    const { agentDown } = bench.driver;
    if (agentDown === undefined) return trial.skip("", "no driver that can bring it about");
    const added = await bench.add();
    await whileOn(agentDown, async () => {
      trial.fails("CHECK with the agent away", await bench.check(added), { codes: [11] });
    });
    trial.succeeds("CHECK with the agent back", await bench.check(added));
    return undefined;
  },
);

const C6 = checkLine(
  "C6",
  "CHECK goes on to delegated plugins; their error is returned",
  async (trial, bench) => {
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("", NO_DELEGATE);
    const added = await bench.add(undefined, delegate.options());
    await delegate.calls();
    const options = delegate.options({ prevResult: added.result });
    const run = await bench.call("CHECK", added.pod, options);
    trial.succeeds("CHECK", run);
    trial.same(
      "what the delegate was called for",
      ["CHECK"],
      (await delegate.calls()).map(({ verb }) => verb),
      run,
    );
    await delegate.failOn("CHECK");
    const failing = await bench.call("CHECK", added.pod, options);
    trial.fails("CHECK with a delegate that fails", failing, { mentions: [DELEGATE_FAILURE] });
    await bench.call("DEL", added.pod, options);
    return undefined;
  },
);

const C7 = checkLine("C7", "no stdout on success", async (trial, bench) => {
  const run = await bench.check(await bench.add());
  if (trial.succeeds("CHECK", run)) trial.same("stdout", "", run.stdout, run);
});

const C8 = checkLine("C8", "CHECK changes nothing, whether it succeeds or fails", async (trial, bench) => {
  const added = await bench.add();
  const look = async (): Promise<Footprint> => [
    ...(await bench.footprint()),
    ...(await footprintOf(added.pod.namespace)).map((text) => `in the pod: ${text}`),
  ];
  const before = await look();
  const good = await bench.check(added);
  trial.unchanged("after a CHECK of a pod that is as it should be", differences(before, await look()), good);
  await ip(added.pod.namespace, "address", "flush", "dev", IFNAME);
  const broken = await look();
  const bad = await bench.check(added);
  trial.unchanged("after a CHECK of a pod without its address", differences(broken, await look()), bad);
});

const C9 = notOurs("C9", "disableCheck in the list: the runtime does not call CHECK", "the runtime's part");

export const CHECK_LINES: readonly Line[] = [C1, C2, C3, C4, C5, C6, C7, C8, C9];
