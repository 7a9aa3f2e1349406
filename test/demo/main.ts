/**
 * `make demo`: the whole line on one machine, with proof. `DATAPATH` says which one: `veth` or `ipvlan` on ENIs of a
 * simulated VPC, `overlay` or `underlay` on a simulated on-premises network. Exits with 0 only if all of it held, with 2
 * where the command is wrong, with 3 where this machine cannot show it, with 130 where it was stopped. KEEP=1 leaves it
 * running.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { ipvlanKernel } from "../uml/ipvlan-kernel.ts";
import { demoInGuest, GUEST_VARIABLE } from "./in-guest.ts";
import { freeName, leftOnPrem, nameOnPrem, removalCommand, removalOnPrem } from "./name.ts";
import { demoOnPrem } from "./onprem.ts";
import { openReport, type Report } from "./report.ts";
import { type Datapath, selectDatapath } from "./selection.ts";
import { demoVpc } from "./vpc.ts";
import { type EniDatapath } from "./vpc-cluster.ts";

async function main(): Promise<number> {
  const datapath = selectDatapath(process.env["DATAPATH"]);
  if (!datapath.ok) {
    process.stderr.write(`${datapath.fault}\n`);
    return 2;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("The demo makes network namespaces: run it as root (sudo make demo).\n");
    return 1;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  // Who reads it has gone, as in `make demo | head`: nobody sees the rest, but it is cleaned up.
  process.stdout.on("error", (error) => stop.abort(error));
  const report = openReport((text) => process.stdout.write(text), process.stdout.isTTY, stop.signal);
  const keep = (process.env["KEEP"] ?? "") !== "";
  try {
    if (datapath.value === "ipvlan" && (await ipvlanKernel()) === "uml") {
      if (keep) {
        process.stderr.write("KEEP=1: this demo runs on a kernel that ends with it (User Mode Linux).\n");
        return 2;
      }
      const shown = await demoInGuest(report, (text) => process.stdout.write(text), stop.signal);
      if (!shown.ok) {
        process.stderr.write(`There is no demo of IPVLAN on this machine: ${shown.fault}\n`);
        return 3;
      }
    } else if (!(await demo(datapath.value, report, keep))) return 1;
  } catch (error) {
    const reason: unknown = stop.signal.aborted ? stop.signal.reason : error;
    process.stderr.write(`\nThe demo could not go on; what it made was removed.\n${String(reason)}\n`);
    return stop.signal.aborted ? 130 : 1;
  }
  const failures = report.failures();
  if (failures.length === 0 && process.env[GUEST_VARIABLE] !== undefined) return 0;
  process.stdout.write(
    failures.length === 0
      ? `\nAll of it held${keep ? "" : ", nothing is left"}.\n`
      : `\n${failures.length} did not hold:\n  ${failures.join("\n  ")}\n`,
  );
  if (keep) process.exit(failures.length === 0 ? 0 : 1);
  return failures.length === 0 ? 0 : 1;
}

/** False where it could not begin; why is said then. */
async function demo(datapath: Datapath, report: Report, keep: boolean): Promise<boolean> {
  const namespaces = await readdir("/run/netns").catch(() => []);
  switch (datapath) {
    case "veth":
    case "ipvlan":
      return demoEnis(datapath, namespaces, report, keep);
    case "overlay":
    case "underlay":
      for (const left of leftOnPrem(namespaces, isAlive)) {
        report.line(`A demo was left here (KEEP=1, or it was killed). To remove it:`);
        for (const command of removalOnPrem(left, tmpdir())) report.line(`  ${command}`);
      }
      await demoOnPrem(datapath, nameOnPrem(process.pid), report, keep);
      return true;
    default:
      return datapath satisfies never;
  }
}

async function demoEnis(
  datapath: EniDatapath,
  namespaces: readonly string[],
  report: Report,
  keep: boolean,
): Promise<boolean> {
  const name = freeName(namespaces);
  if (name === undefined) {
    process.stderr.write(`Nine demos were left on this machine. Remove one: ${removalCommand("twdemo")}\n`);
    return false;
  }
  if (name !== "twdemo") {
    report.line(
      `There is another demo (KEEP=1, or it was killed); this one is called ${name}. To remove the other:`,
    );
    report.line(`  ${removalCommand("twdemo")}`);
  }
  await demoVpc(name, datapath, report, keep);
  return true;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

process.exitCode = await main();
