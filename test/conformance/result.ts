/**
 * The result of ADD in each version of the specification: its shape, and what it says.
 * Source: CNI SPEC.md 0.2.0 to 1.1.0, section "Result".
 *
 * @module
 */
import * as z from "zod";
import { type JsonObject, objectOf, objectsOf, textOf } from "./target.ts";
import { hasInterfaces, type Version } from "./version.ts";

const CIDR = z.string().regex(/^[0-9a-fA-F.:]+\/\d{1,3}$/, "no address with a length");
const MAC = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, "no MAC address");
const ADDRESS = z.string().regex(/^[0-9a-fA-F.:]+$/, "no address");
const NUMBER = z.number().int();
const DNS = z.strictObject({
  nameservers: z.array(z.string()).optional(),
  domain: z.string().optional(),
  search: z.array(z.string()).optional(),
  options: z.array(z.string()).optional(),
});
const ROUTE = { dst: CIDR, gw: ADDRESS.optional() };
const OLD_FAMILY = z.strictObject({
  ip: CIDR,
  gateway: ADDRESS.optional(),
  routes: z.array(z.strictObject(ROUTE)).nullish(),
});

function oldShape(): z.ZodType {
  const shape = {
    cniVersion: z.string(),
    ip4: OLD_FAMILY.optional(),
    ip6: OLD_FAMILY.optional(),
    dns: DNS.optional(),
  };
  const needsOne = "neither ip4 nor ip6";
  return z.strictObject(shape).refine((result) => (result.ip4 ?? result.ip6) !== undefined, needsOne);
}

function newShape(version: Version): z.ZodType {
  const isNewest = version === "1.1.0";
  const namesFamily = version !== "1.0.0" && !isNewest;
  return z.strictObject({
    cniVersion: z.string(),
    interfaces: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          mac: MAC.optional(),
          sandbox: z.string().optional(),
          ...(isNewest && {
            mtu: NUMBER.optional(),
            socketPath: z.string().optional(),
            pciID: z.string().optional(),
          }),
        }),
      )
      .optional(),
    ips: z
      .array(
        z.strictObject({
          ...(namesFamily && { version: z.enum(["4", "6"]) }),
          interface: NUMBER.optional(),
          address: CIDR,
          gateway: ADDRESS.optional(),
        }),
      )
      .optional(),
    routes: z
      .array(
        z.strictObject({
          ...ROUTE,
          ...(isNewest && {
            mtu: NUMBER.optional(),
            advmss: NUMBER.optional(),
            priority: NUMBER.optional(),
            table: NUMBER.optional(),
            scope: NUMBER.optional(),
          }),
        }),
      )
      .optional(),
    dns: DNS.optional(),
  });
}

export type Wrong = {
  /** A key that the version does not have. */
  readonly isUnknownKey: boolean;
  /** "ips.0.address: no address with a length". */
  readonly text: string;
};

/** What is wrong with the shape of `result` in `version`. Empty: nothing. */
export function wrongShape(result: unknown, version: Version): readonly Wrong[] {
  const parsed = (hasInterfaces(version) ? newShape(version) : oldShape()).safeParse(result);
  return (parsed.error?.issues ?? []).map((issue) => ({
    isUnknownKey: issue.code === "unrecognized_keys",
    text: `${issue.path.join(".") || "result"}: ${issue.message}`,
  }));
}

export type Interface = { readonly name: string; readonly mac: string; readonly sandbox: string };
export type Address = {
  /** With its length. */
  readonly address: string;
  /** `undefined`: not said. */
  readonly index: number | undefined;
};
export type Route = { readonly dst: string; readonly gw: string };

/** What a result of any version says; what is malformed is left out, its shape is another matter. */
export type Reading = {
  readonly interfaces: readonly Interface[];
  readonly ips: readonly Address[];
  readonly routes: readonly Route[];
};

export function readResult(result: JsonObject): Reading {
  const families = [objectOf(result["ip4"]), objectOf(result["ip6"])];
  const old = families.flatMap((family) => (textOf(family["ip"]) === "" ? [] : [family]));
  const routes = [...objectsOf(result["routes"]), ...old.flatMap((family) => objectsOf(family["routes"]))];
  return {
    interfaces: objectsOf(result["interfaces"]).map((one) => ({
      name: textOf(one["name"]),
      mac: textOf(one["mac"]),
      sandbox: textOf(one["sandbox"]),
    })),
    ips: [
      ...objectsOf(result["ips"]).map((one) => ({
        address: textOf(one["address"]),
        index: typeof one["interface"] === "number" ? one["interface"] : undefined,
      })),
      ...old.map((family) => ({ address: textOf(family["ip"]), index: undefined })),
    ],
    routes: routes.map((one) => ({ dst: textOf(one["dst"]), gw: textOf(one["gw"]) })),
  };
}

/** "10.0.0.5/24" -> "10.0.0.5". */
export function withoutLength(address: string): string {
  return address.split("/")[0] ?? "";
}
