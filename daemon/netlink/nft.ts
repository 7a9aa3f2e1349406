/**
 * Structure of our nftables table (tables, maps, chains, rules) by nft(8), a process each time: at start and once an ENI.
 * Elements, of which there is one a pod, go by nfnetlink.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { failed, ok, type Result } from "../../proto/result.ts";
import { errorCode } from "./netns.ts";

/** It takes 5 to 20 ms. */
const TIMEOUT_MS = 10_000;

/** Of the last processes: a socket of nft(8) has the number of its process as its port. */
const pids: number[] = [];
const PIDS_MAX = 64;

/** Whether a notification with this port is about what `runNft` did. */
export function isOwnNft(port: number): boolean {
  return pids.includes(port);
}

/** Runs `text` as one transaction in the node's namespace. `nodeNetns`: its path where it is not the process's own. */
export function runNft(text: string, nodeNetns: string | undefined): Promise<Result<void>> {
  const [file, args] =
    nodeNetns === undefined ? ["nft", [text]] : ["nsenter", [`--net=${nodeNetns}`, "nft", text]];
  return new Promise((resolve) => {
    const child = execFile(file, args, { timeout: TIMEOUT_MS }, (error, _, stderr) => {
      if (error === null) return resolve(ok(undefined));
      const errno =
        error.killed === true ? "ETIMEDOUT" : error.code === "ENOENT" ? "ENOENT" : errnoOf(stderr);
      const extAck =
        error.code === "ENOENT"
          ? `${file} is not installed, or not in PATH`
          : (firstLine(stderr) ?? errorCode(error));
      return resolve(failed({ kind: "kernel", op: `nft, ${firstLine(text) ?? ""} …`, errno, extAck }));
    });
    pids.push(child.pid ?? 0);
    pids.splice(0, pids.length - PIDS_MAX);
  });
}

/** What nft says in words, by strerror(3). */
const WORDS = {
  "Operation not permitted": "EPERM",
  "No such file or directory": "ENOENT",
  "File exists": "EEXIST",
  "Device or resource busy": "EBUSY",
} as const satisfies Record<string, string>;

function errnoOf(stderr: string): string {
  return Object.entries(WORDS).find(([words]) => stderr.includes(words))?.[1] ?? "EINVAL";
}

function firstLine(text: string): string | undefined {
  return text.split("\n").find((line) => line !== "");
}
