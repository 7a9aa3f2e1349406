/**
 * A1 to A6: the result of ADD, and that it is true.
 *
 * @module
 */
import { type Added, type Bench, IFNAME } from "./bench.ts";
import { differences, footprintOf } from "./footprint.ts";
import { addressesOn, hasLink, ip, ipJson, makeLink } from "./node.ts";
import { describeRun, type Pod } from "./probe.ts";
import { type Reading, readResult, withoutLength, wrongShape } from "./result.ts";
import { objectOf, objectsOf, parseJson, textOf } from "./target.ts";
import { type Line, type Trial } from "./trial.ts";
import { hasInterfaces, type Version } from "./version.ts";

async function inVersion(trial: Trial, bench: Bench, version: Version): Promise<void> {
  const pod = await bench.newPod();
  const run = await bench.call("ADD", pod, { version });
  if (!trial.succeeds(`ADD with cniVersion ${version}`, run)) return;
  const result = objectOf(parseJson(run.stdout));
  trial.same(`cniVersion of the result of ${version}`, version, result["cniVersion"], run);
  // Keys that a version does not have are R6's business.
  const wrong = wrongShape(result, version).filter(({ isUnknownKey }) => !isUnknownKey);
  trial.check(`the result has the shape of ${version}`, wrong.length === 0, {
    wanted: `the schema of ${version}`,
    seen: wrong.map(({ text }) => text).join(" | "),
    run,
  });
  await bench.call("DEL", pod, { version });
}

/** Interfaces, addresses and routes of the result are in the pod's namespace. */
export async function podIsAsSaid(trial: Trial, pod: Pod, reading: Reading, after: string): Promise<void> {
  const links = await ipJson(pod.namespace, "link", "show");
  const link = links.find((one) => one["ifname"] === IFNAME);
  trial.check(`${after}: ${IFNAME} is in the pod and up`, isUp(link), {
    wanted: "UP",
    seen: link === undefined ? "no such link" : JSON.stringify(link["flags"]),
  });
  for (const { name, mac, sandbox } of reading.interfaces) {
    if (sandbox !== pod.netns || mac === "") continue;
    const seen = textOf(links.find((one) => one["ifname"] === name)?.["address"]);
    trial.same(`${after}: MAC address of ${name}`, mac.toLowerCase(), seen);
  }
  const said = reading.ips.map(({ address }) => address).sort();
  const there = (await addressesOn(pod.namespace, IFNAME)).sort();
  trial.same(`${after}: addresses of ${IFNAME}`, said, there);
  const routes = [
    ...(await ipJson(pod.namespace, "route", "show", "table", "all")),
    ...(await ipJson(pod.namespace, "-6", "route", "show", "table", "all")),
  ];
  for (const { dst, gw } of reading.routes) {
    const found = routes.some(
      (route) =>
        sameDestination(textOf(route["dst"]), dst) &&
        (gw === "" || textOf(route["gateway"]) === gw || textOf(objectOf(route["via"])["host"]) === gw),
    );
    const route = `${dst}${gw === "" ? "" : ` via ${gw}`}`;
    trial.check(`${after}: route ${route}`, found, { wanted: "it is there", seen: "it is missing" });
  }
}

function isUp(link: Readonly<Record<string, unknown>> | undefined): boolean {
  return Array.isArray(link?.["flags"]) && link["flags"].includes("UP");
}

/** ip(8) writes "default", and leaves the length of a single address out. */
export function sameDestination(shown: string, dst: string): boolean {
  if (dst === "0.0.0.0/0" || dst === "::/0") return shown === "default";
  return shown === dst || `${shown}/32` === dst || `${shown}/128` === dst;
}

const A1: Line = {
  id: "A1",
  wants:
    "the result is in the configuration's cniVersion and its schema, for every announced version, and it is true",
  async run(trial, bench) {
    for (const version of bench.versions) await inVersion(trial, bench, version);
    const { pod, result } = await bench.add();
    const reading = readResult(result);
    trial.check("there is an address", reading.ips.length > 0, { wanted: "one or more", seen: "none" });
    await podIsAsSaid(trial, pod, reading, "ADD");
  },
};

const A2: Line = {
  id: "A2",
  wants: "an interface of that name is there already: error, and it stays as it is",
  async run(trial, bench) {
    const pod = await bench.newPod();
    await makeLink(pod.namespace, IFNAME);
    await ip(pod.namespace, "address", "add", "192.0.2.7/24", "dev", IFNAME);
    const before = await footprintOf(pod.namespace);
    const run = await bench.call("ADD", pod);
    trial.fails("ADD", run);
    trial.unchanged("the pod's namespace", differences(before, await footprintOf(pod.namespace)), run);
  },
};

const A3: Line = {
  id: "A3",
  wants: "ADD twice without DEL: the same result or an error; nothing is corrupted, nothing leaks",
  async run(trial, bench) {
    const before = await bench.footprint();
    const added = await bench.add();
    const between = await bench.footprint();
    const inside = await footprintOf(added.pod.namespace);
    const second = await bench.call("ADD", added.pod);
    if (second.end === 0) {
      trial.same("the second result is the first", added.result, parseJson(second.stdout), second);
    } else {
      trial.fails("the second ADD, if it is not the same again", second);
    }
    trial.unchanged("the node after the second ADD", await bench.settled(between), second);
    const changes = differences(inside, await footprintOf(added.pod.namespace));
    trial.unchanged("the pod after the second ADD", changes, second);
    trial.succeeds("one DEL afterwards", await bench.del(added));
    trial.unchanged("the node after DEL", await bench.settled(before));
  },
};

/** What a plugin before this one in a chain has made. RFC 5737 addresses. */
function earlierResult(bench: Bench, pod: Pod): Readonly<Record<string, unknown>> {
  return {
    cniVersion: bench.version,
    interfaces: [{ name: "before0", mac: "02:00:00:00:00:07", sandbox: pod.netns }],
    ips: [{ ...(bench.version < "1.0.0" && { version: "4" }), interface: 0, address: "198.51.100.7/24" }],
    routes: [{ dst: "203.0.113.0/24", gw: "198.51.100.1" }],
    dns: { nameservers: ["192.0.2.53"], domain: "conformance.example" },
  };
}

const A4: Line = {
  id: "A4",
  wants: "prevResult, where it is given, is passed through or amended, never dropped",
  async run(trial, bench) {
    if (!hasInterfaces(bench.version)) return trial.skip("", `${bench.version} knows no chain`);
    const pod = await bench.newPod();
    const run = await bench.call("ADD", pod, { config: { prevResult: earlierResult(bench, pod) } });
    if (!trial.succeeds("ADD with prevResult", run)) return;
    const result = objectOf(parseJson(run.stdout));
    const { interfaces, ips, routes } = readResult(result);
    const has = (what: string, holds: boolean): void => {
      trial.check(`${what} is in the result`, holds, { wanted: "it is there", seen: describeRun(run), run });
    };
    has(
      "its interface",
      interfaces.some(({ name }) => name === "before0"),
    );
    const address = ips.find((one) => one.address === "198.51.100.7/24");
    has("its address", address !== undefined);
    if (address?.index !== undefined) {
      trial.same("its address is on its interface", "before0", interfaces[address.index]?.name, run);
    }
    has(
      "its route",
      routes.some(({ dst }) => dst === "203.0.113.0/24"),
    );
    trial.same("its dns", ["192.0.2.53"], objectOf(result["dns"])["nameservers"], run);
    has(
      "the plugin's own interface",
      interfaces.some(({ name }) => name === IFNAME),
    );
    return undefined;
  },
};

/** The links that came to the node with an ADD. */
async function newLinks(bench: Bench, before: readonly string[]): Promise<string[]> {
  const came = differences(before, await bench.footprint());
  return came.flatMap((text) =>
    text.startsWith("+ link ") ? [textOf(objectOf(parseJson(text.slice(7)))["ifname"])] : [],
  );
}

const A5: Line = {
  id: "A5",
  wants:
    "interfaces[] lists the pod's side with sandbox = CNI_NETNS and the host's side without sandbox; all exist",
  async run(trial, bench) {
    if (!hasInterfaces(bench.version)) return trial.skip("", `${bench.version} has no interfaces`);
    const before = await bench.footprint();
    const { pod, run, result } = await bench.add();
    const { interfaces } = readResult(result);
    const inside = interfaces.filter(({ sandbox }) => sandbox !== "");
    const wanted = [{ name: IFNAME, sandbox: pod.netns }];
    trial.same(
      "in the pod",
      wanted,
      inside.map(({ name, sandbox }) => ({ name, sandbox })),
      run,
    );
    const outside = interfaces.filter(({ sandbox }) => sandbox === "").map(({ name }) => name);
    for (const name of outside) {
      const seen = (await hasLink(bench.driver.node, name)) ? "it is there" : "there is no such link";
      trial.same(`${name} on the node`, "it is there", seen, run);
    }
    const unlisted = (await newLinks(bench, before)).filter((name) => !outside.includes(name));
    trial.same("links that ADD made on the node and did not list", [], unlisted, run);
    return undefined;
  },
};

const A6: Line = {
  id: "A6",
  wants: "each address says by its index on which interface of the result it is: the pod's",
  async run(trial, bench) {
    const versions = bench.versions.filter(hasInterfaces);
    if (versions.length === 0) return trial.skip("", "no announced version has interfaces");
    for (const version of versions) {
      const added: Added = await bench.add(undefined, { version });
      const { interfaces } = readResult(added.result);
      for (const ip of objectsOf(added.result["ips"])) {
        const index = ip["interface"];
        const on = typeof index === "number" ? interfaces[index] : undefined;
        trial.check(
          `${version}: the index of an address`,
          on?.sandbox === added.pod.netns && on.name === IFNAME,
          {
            wanted: `the index of ${IFNAME}`,
            seen: `${JSON.stringify(index) ?? "none"} for ${withoutLength(textOf(ip["address"]))}`,
            run: added.run,
          },
        );
      }
      await bench.call("DEL", added.pod, { version });
    }
    return undefined;
  },
};

export const ADD_LINES: readonly Line[] = [A1, A2, A3, A4, A5, A6];
