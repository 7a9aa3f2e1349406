/**
 * DescribeNetworkInterfaces: shows the ENIs as they were a little while ago.
 *
 * @module
 */
import { parseIpv6 } from "../../../proto/addr6.ts";
import { apiError } from "../api-error.ts";
import {
  listParameter,
  type ParameterReader,
  type Parameters,
  readParameters,
  tagParameters,
} from "../parameters.ts";
import { type JsonObject } from "../json-object.ts";
import { type Eni, type World } from "../world.ts";
import { eniDocument } from "./eni-document.ts";
import { accept, type Handler, refuse } from "./outcome.ts";

const DEFAULT_PAGE = 10;
const LARGEST_PAGE = 500;
const MOST_IDS = 100;

type Page =
  | { readonly kind: "token"; readonly size: number; readonly afterSequence: number }
  | { readonly kind: "number"; readonly size: number; readonly number: number };

/** Pages by MaxResults and NextToken, or by PageNumber and PageSize. Names that do not exist are left out. */
export const describeNetworkInterfaces: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const page = readPage(read, parameters);
  if (listParameter(parameters, "NetworkInterfaceId").length > MOST_IDS) {
    read.refuse(apiError("InvalidParameter", `more than ${MOST_IDS} NetworkInterfaceId.N`));
  }
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  return accept(() => document(world, matching(world, parameters), page));
};

function readPage(read: ParameterReader, parameters: Parameters): Page {
  const maxResults = read.integer("MaxResults", 10, LARGEST_PAGE);
  const size = read.integer("PageSize", 1, LARGEST_PAGE) ?? DEFAULT_PAGE;
  const number = read.integer("PageNumber", 1, 1_000_000) ?? 1;
  const token = read.optional("NextToken");
  const numbered = parameters["PageNumber"] !== undefined || parameters["PageSize"] !== undefined;
  if (numbered && maxResults === undefined && token === undefined) return { kind: "number", size, number };
  const sequence = token === undefined ? "-1" : /^eni-after-(\d{1,9})$/.exec(token)?.[1];
  if (sequence === undefined) read.refuse(apiError("InvalidParameter", "NextToken is not one of ours"));
  return { kind: "token", size: maxResults ?? DEFAULT_PAGE, afterSequence: Number(sequence) };
}

function matching(world: World, parameters: Parameters): readonly Eni[] {
  const ids = listParameter(parameters, "NetworkInterfaceId");
  const tags = tagParameters(parameters);
  const ipv6 = listParameter(parameters, "Ipv6Address").map((text) => parseIpv6(text));
  const equals = (name: string, value: string | undefined): boolean =>
    (parameters[name] ?? "") === "" || parameters[name] === value;
  return [...world.described.values()]
    .filter(
      (eni) =>
        (ids.length === 0 || ids.includes(eni.id)) &&
        equals("InstanceId", eni.instance) &&
        equals("Type", eni.type) &&
        equals("Status", eni.status) &&
        equals("VSwitchId", eni.vSwitch) &&
        equals("VpcId", world.topology.vpc.id) &&
        equals("PrimaryIpAddress", eni.addresses[0]) &&
        (ipv6.length === 0 || eni.ipv6Addresses.some((address) => ipv6.includes(address))) &&
        equals("NetworkInterfaceName", eni.name) &&
        equals("ServiceManaged", String(eni.serviceManaged)) &&
        equals(
          "SecurityGroupId",
          eni.securityGroups.find((group) => group === parameters["SecurityGroupId"]),
        ) &&
        tags.every((wanted) =>
          eni.tags.some(
            (tag) => tag.key === wanted.key && (wanted.value === "" || tag.value === wanted.value),
          ),
        ),
    )
    .toSorted((a, b) => a.sequence - b.sequence);
}

function document(world: World, enis: readonly Eni[], page: Page): JsonObject {
  const candidates =
    page.kind === "number"
      ? enis.slice((page.number - 1) * page.size)
      : enis.filter((eni) => eni.sequence > page.afterSequence);
  const shown = candidates.slice(0, page.size);
  const last = shown.at(-1);
  const more = candidates.length > shown.length && last !== undefined;
  const position =
    page.kind === "number"
      ? { PageNumber: page.number, PageSize: page.size }
      : { NextToken: more ? `eni-after-${last.sequence}` : "" };
  return {
    TotalCount: enis.length,
    ...position,
    NetworkInterfaceSets: { NetworkInterfaceSet: shown.map((eni) => eniDocument(world, eni)) },
  };
}
