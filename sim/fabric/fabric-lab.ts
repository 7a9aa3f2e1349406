/**
 * What the kernel tests of the data plane share: addresses from texts, and commands in its namespaces.
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Cidr, parseCidr } from "../../proto/cidr.ts";
import { type Cidr6, isCidr6, parseIpCidr } from "../../proto/cidr6.ts";
import { runProgram } from "./run.ts";

export function ip(text: string): Ipv4 {
  return parsed(text, parseIpv4(text));
}

export function ip6(text: string): Ipv6 {
  return parsed(text, parseIpv6(text));
}

export function mac(text: string): Mac {
  return parsed(text, parseMac(text));
}

export function cidr(text: string): Cidr {
  return parsed(text, parseCidr(text));
}

export function cidr6(text: string): Cidr6 {
  const network = parseIpCidr(text);
  return parsed(text, network.ok && isCidr6(network.value) ? network.value : undefined);
}

/** What a command prints. Throws with its words where it fails. */
export async function output(...command: readonly [string, ...string[]]): Promise<string> {
  const ran = await runProgram(command, "");
  if (ran.status !== 0) throw new Error(`${command.join(" ")}: ${ran.stderr}`);
  return ran.stdout;
}

/** The exit status of a command in a namespace; words are separated by blanks. */
export async function statusIn(namespace: string, line: string): Promise<number> {
  const [program = "", ...args] = line.split(" ");
  return (await runProgram(["ip", "netns", "exec", namespace, program, ...args], "")).status;
}

/** Runs `ip` in a namespace, line by line. Throws where a line fails. */
export async function configure(namespace: string, ...lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const status = await statusIn(namespace, `ip ${line}`);
    if (status !== 0) throw new Error(`ip ${line} in ${namespace}: exit status ${status}`);
  }
}

/** Sends an ICMP echo from an address or device; true where the answer came within a second. */
export async function reaches(namespace: string, to: string, from: string): Promise<boolean> {
  return (await statusIn(namespace, `ping -n -c 1 -W 1 -I ${from} ${to}`)) === 0;
}

function parsed<Value>(text: string, value: Value | undefined): Value {
  if (value === undefined) throw new Error(text);
  return value;
}
