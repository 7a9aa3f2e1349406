/**
 * A hundred ADDs at the same time on a pool that has an address for each, then a hundred DELs; ours and the peers in turn.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { must, until } from "../../test/harness/process.ts";
import { type Container, type Contender, openPeer } from "../contender.ts";
import { type Compared, type Row } from "../figures.ts";
import { type Lab, withLab } from "../lab.ts";
import { warmUpAgent } from "../pairs.ts";
import { rotated } from "../rounds.ts";
import { type Measure } from "../run.ts";
import { endedAfterMs } from "../spawn-lines.ts";
import { openSpawner } from "../spawner.ts";
import { FULL_POOL, LARGE_NODE } from "../topology.ts";
import { TARGET } from "../upstream.ts";

const PODS = 100;
/** For what is still going on in the kernel after the last answer. */
const REST_MS = 1000;
const LINKS_TIMEOUT_MS = 10_000;

/** Milliseconds from the first exec. */
type Times = { readonly last: number[]; readonly each: number[] };
type Entry = { readonly contender: Contender; readonly ADD: Times; readonly DEL: Times };

/** Every contender has namespaces of its own, which it uses again in each round. */
export const measureWarmAtOnce: Measure = (run) =>
  withLab(
    run,
    FULL_POOL,
    async (lab) => {
      const rounds = run.quick ? 2 : 10;
      const spawner = await openSpawner();
      await lab.start();
      const peers = (["ptp", "bridge"] as const).map(async (type) =>
        openPeer(type, lab.directory, await lab.namespace(type)),
      );
      const contenders = [lab.ours, ...(await Promise.all(peers))];
      const entries = contenders.map((contender): Entry => ({ contender, ADD: times(), DEL: times() }));
      const containers: (readonly Container[])[] = [];
      for (const { contender } of entries) {
        run.progress(`namespaces of ${PODS} pods for ${contender.name}`);
        containers.push(await lab.containers(PODS));
      }
      await lab.settled();
      await warmUpAgent(lab);
      const linksGoneMs: number[] = [];
      // The first round is not counted: files and code come into memory.
      for (let round = 0; round <= rounds; round++) {
        for (const entry of rotated(entries, round)) {
          run.progress(`${entry.contender.name}, round ${round} of ${rounds}`);
          const own = containers[entries.indexOf(entry)] ?? [];
          for (const verb of ["ADD", "DEL"] as const) {
            run.signal.throwIfAborted();
            await sleep(REST_MS);
            const programs = own.map((container) => entry.contender.program(verb, container));
            const spawned = await spawner.atOnce(programs);
            if (round === 0) continue;
            const after = endedAfterMs(spawned);
            entry[verb].last.push(after.at(-1) ?? Number.NaN);
            entry[verb].each.push(...after);
            if (entry.contender === lab.ours && verb === "DEL") {
              await untilNoLinks(lab);
              const firstUs = Math.min(...spawned.map(({ startedUs }) => startedUs));
              linksGoneMs.push((Number(process.hrtime.bigint()) / 1000 - firstUs) / 1000);
            }
          }
        }
      }
      return [
        ...(["ADD", "DEL"] as const).flatMap((verb) => rowsOf(verb, entries)),
        {
          kind: "figure",
          row: `${PODS} DEL at once`,
          what: "every link is gone after",
          unit: "ms",
          samples: linksGoneMs,
          note: "the answers come before; the peers answer when the link is gone",
        },
      ];
    },
    LARGE_NODE,
  );

function times(): Times {
  return { last: [], each: [] };
}

function rowsOf(verb: "ADD" | "DEL", entries: readonly Entry[]): readonly Row[] {
  const target = verb === "ADD" ? TARGET.addAtOnceRatio : TARGET.delAtOnceRatio;
  const row = (which: "last" | "each"): Row => ({
    kind: "comparison",
    row: `${PODS} ${verb} at once, ${which === "last" ? "the last reply" : "each reply"}`,
    unit: "ms",
    contenders: entries.map((entry): Compared => {
      const { name } = entry.contender;
      const samples = entry[verb][which];
      return { name, samples, ...(name === "ptp" && which === "last" && { target }) };
    }),
  });
  return [row("last"), row("each")];
}

/** Links of pods begin with `tw` (daemon/core/datapath/link-name.ts). */
async function untilNoLinks(lab: Lab): Promise<void> {
  await until(
    "the links of all pods are deleted",
    async () => {
      const links = await must("ip", ["-n", lab.node.namespace, "-o", "link"]);
      return !links.split("\n").some((line) => /^\d+: tw/.test(line));
    },
    LINKS_TIMEOUT_MS,
    5,
  );
}
