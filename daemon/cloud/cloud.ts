/**
 * The cloud as the core wants it (`Cloud`), over the signed API.
 *
 * One call is one attempt: a turn of the rate budget, the access key as it is at that moment, a request with a
 * deadline, an answer decoded or a failure classified. Repeating is the core's decision, which keeps the tokens; the
 * one exception is taking addresses back, which a single stale address spoils for all others.
 *
 * @module
 */
import { type EniId } from "../../proto/ids.ts";
import { failed, ok } from "../../proto/result.ts";
import {
  type Cloud,
  type CloudResult,
  type CreateEni,
  type EniQuery,
  type EniView,
  type Priority,
  type VSwitchQuery,
  type VSwitchView,
} from "../core/cloud.ts";
import { assignAddresses, type Invoke, unassignAddresses } from "./addresses.ts";
import { type Caller, openCaller } from "./call.ts";
import { classify } from "./classify.ts";
import {
  countField,
  decodeAll,
  decodeEni,
  decodeInstance,
  decodeVSwitch,
  requiredList,
  textField,
} from "./decode.ts";
import { defaultEndpoint, type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type Action } from "./failure-table.ts";
import { goneIsFine } from "./gone.ts";
import { checked, invokeOnce, type InvokeOptions } from "./invoke.ts";
import * as sdk from "./sdk.ts";

export type CloudOptions = InvokeOptions & {
  readonly region: string;
  /** As `parseEndpoint` takes it; the ones inside the VPC where absent. */
  readonly ecsEndpoint?: string;
  readonly vpcEndpoint?: string;
  /** Of one request, waiting for its turn not included. */
  readonly timeoutMs: number;
  /** Absent: signed HTTP. */
  readonly caller?: Caller;
};

const DESCRIPTION = "Pod addresses of a Kubernetes node, made by terway";
/** The most that DescribeNetworkInterfaces gives at once; its default is 10. */
const ENIS_PER_PAGE = 500;
/** The most ids that DescribeNetworkInterfaces takes. */
const IDS_PER_CALL = 100;
const VSWITCHES_PER_PAGE = 50;
/** A list that does not end: 10,000 ENIs, 1,000 vSwitches of a zone. */
const PAGES_MAX = 20;

/** Throws where an endpoint is none; the configuration is checked before. Disposing ends calls under way. */
export function openCloud(options: CloudOptions): Cloud & AsyncDisposable {
  const caller =
    options.caller ??
    openCaller({
      region: options.region,
      ecs: endpointOf(options.ecsEndpoint ?? defaultEndpoint("ecs", options.region)),
      vpc: endpointOf(options.vpcEndpoint ?? defaultEndpoint("vpc", options.region)),
      timeoutMs: options.timeoutMs,
    });
  const invoke: Invoke = (request) => invokeOnce(request, caller, options);
  return {
    createEni: (request, priority) => createEni(invoke, request, priority),
    attachEni: (eni, instance, priority) => {
      const parameters = new sdk.AttachNetworkInterfaceRequest({
        networkInterfaceId: eni,
        instanceId: instance,
      });
      return discard(invoke({ action: "AttachNetworkInterface", target: eni, priority, parameters }));
    },
    describeEnis: (query) => describeEnis(invoke, query),
    assignAddresses: (request, priority) => assignAddresses(invoke, request, priority),
    unassignAddresses: (eni, addresses) => {
      const lookUp = (id: EniId): Promise<CloudResult<readonly EniView[]>> =>
        describeEnis(invoke, { by: "ids", ids: [id] });
      return unassignAddresses(invoke, lookUp, eni, addresses);
    },
    detachEni: (eni, instance) => {
      const parameters = new sdk.DetachNetworkInterfaceRequest({
        networkInterfaceId: eni,
        instanceId: instance,
      });
      return goneIsFine(
        invoke({ action: "DetachNetworkInterface", target: eni, priority: "release", parameters }),
      );
    },
    deleteEni: (eni) => {
      const parameters = new sdk.DeleteNetworkInterfaceRequest({ networkInterfaceId: eni });
      return goneIsFine(
        invoke({ action: "DeleteNetworkInterface", target: eni, priority: "release", parameters }),
      );
    },
    setSecurityGroups: (eni, groups) => {
      const action = "ModifyNetworkInterfaceAttribute";
      const parameters = new sdk.ModifyNetworkInterfaceAttributeRequest({
        networkInterfaceId: eni,
        securityGroupId: [...groups],
      });
      return discard(invoke({ action, target: eni, priority: "release", parameters }));
    },
    describeVSwitches: (query) => describeVSwitches(invoke, query),
    async describeInstance(instance) {
      const action = "DescribeInstanceAttribute";
      const parameters = new sdk.DescribeInstanceAttributeRequest({ instanceId: instance });
      const answer = await invoke({ action, target: instance, priority: "describe", parameters });
      if (!answer.ok) return answer;
      return checked(decodeInstance(answer.value), answer.value, { action, target: instance });
    },
    [Symbol.asyncDispose]() {
      caller.close();
      return Promise.resolve();
    },
  };
}

/**
 * `SourceDestCheck` is always named, because its default differs from account to account. It is on: every packet of a
 * pod leaves through the ENI that its address is assigned to, and the check finds it where it does not.
 * `DeleteOnRelease` gives the ENI back together with its instance.
 */
async function createEni(
  invoke: Invoke,
  request: CreateEni,
  priority: Priority,
): Promise<CloudResult<EniView>> {
  const action = "CreateNetworkInterface";
  const target = request.vSwitch;
  const parameters = new sdk.CreateNetworkInterfaceRequest({
    clientToken: request.token,
    vSwitchId: request.vSwitch,
    securityGroupIds: [...request.securityGroups],
    // 0 is not allowed on the wire.
    ...(request.secondaryCount > 0 ? { secondaryPrivateIpAddressCount: request.secondaryCount } : {}),
    ...(request.count6 === undefined ? {} : { ipv6AddressCount: request.count6 }),
    ...(request.resourceGroup === undefined ? {} : { resourceGroupId: request.resourceGroup }),
    tag: Object.entries(request.tags).map(
      ([key, value]) => new sdk.CreateNetworkInterfaceRequestTag({ key, value }),
    ),
    description: DESCRIPTION,
    deleteOnRelease: true,
    sourceDestCheck: true,
  });
  const answer = await invoke({ action, target, priority, parameters });
  if (!answer.ok) return answer;
  // An ENI is made while the call lasts, so "Available" is what an answer without a state means. An empty id is a
  // known answer of the real API: the call is to be made again, with the same token.
  const eni = decodeEni({ Status: "Available", ...answer.value });
  return checked(eni, answer.value, { action, target });
}

async function describeEnis(invoke: Invoke, query: EniQuery): Promise<CloudResult<readonly EniView[]>> {
  switch (query.by) {
    case "instance":
      return enisOf(invoke, query.instance, { instanceId: query.instance });
    case "tags": {
      const tag = Object.entries(query.tags).map(
        ([key, value]) => new sdk.DescribeNetworkInterfacesRequestTag({ key, value }),
      );
      // Without a tag it would be every ENI of the region.
      if (tag.length === 0) throw new Error("a query by tags without a tag");
      const target = Object.entries(query.tags)
        .map((pair) => pair.join("="))
        .join(",");
      return enisOf(invoke, target, { tag });
    }
    case "ids": {
      const enis: EniView[] = [];
      for (let from = 0; from < query.ids.length; from += IDS_PER_CALL) {
        const ids = query.ids.slice(from, from + IDS_PER_CALL);
        const part = await enisOf(invoke, ids.join(","), { networkInterfaceId: ids });
        if (!part.ok) return part;
        enis.push(...part.value);
      }
      return ok(enis);
    }
    default:
      return query satisfies never;
  }
}

async function enisOf(
  invoke: Invoke,
  target: string,
  filter: {
    readonly instanceId?: string;
    readonly networkInterfaceId?: string[];
    readonly tag?: sdk.DescribeNetworkInterfacesRequestTag[];
  },
): Promise<CloudResult<readonly EniView[]>> {
  const action = "DescribeNetworkInterfaces";
  const enis: EniView[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const parameters = new sdk.DescribeNetworkInterfacesRequest({
      ...filter,
      maxResults: ENIS_PER_PAGE,
      ...(nextToken === undefined ? {} : { nextToken }),
    });
    const answer = await invoke({ action, target, priority: "describe", parameters });
    if (!answer.ok) return answer;
    const list = requiredList(answer.value, "NetworkInterfaceSets", "NetworkInterfaceSet");
    const decoded = list.ok ? decodeAll(list.value, decodeEni) : list;
    const views = checked(decoded, answer.value, { action, target });
    if (!views.ok) return views;
    enis.push(...views.value);
    nextToken = textField(answer.value, "NextToken");
    if (nextToken === undefined) return ok(enis);
  }
  return endless(action, target);
}

async function describeVSwitches(
  invoke: Invoke,
  query: VSwitchQuery,
): Promise<CloudResult<readonly VSwitchView[]>> {
  const action = "DescribeVSwitches";
  const target = query.by === "id" ? query.id : `${query.vpc} in ${query.zone}`;
  const filter = query.by === "id" ? { vSwitchId: query.id } : { vpcId: query.vpc, zoneId: query.zone };
  const vSwitches: VSwitchView[] = [];
  for (let pageNumber = 1; pageNumber <= PAGES_MAX; pageNumber += 1) {
    const parameters = new sdk.DescribeVSwitchesRequest({
      ...filter,
      pageNumber,
      pageSize: VSWITCHES_PER_PAGE,
    });
    const answer = await invoke({ action, target, priority: "describe", parameters });
    if (!answer.ok) return answer;
    const list = requiredList(answer.value, "VSwitches", "VSwitch");
    const views = checked(list.ok ? decodeAll(list.value, decodeVSwitch) : list, answer.value, {
      action,
      target,
    });
    if (!views.ok) return views;
    vSwitches.push(...views.value);
    const total = countField(answer.value, "TotalCount") ?? vSwitches.length;
    if (views.value.length < VSWITCHES_PER_PAGE || vSwitches.length >= total) return ok(vSwitches);
  }
  return endless(action, target);
}

async function discard(call: Promise<CloudResult<unknown>>): Promise<CloudResult<void>> {
  const result = await call;
  return result.ok ? ok(undefined) : result;
}

function endless(action: Action, target: string): CloudResult<never> {
  const end = { kind: "malformed", reason: `more than ${PAGES_MAX} pages` } as const;
  return failed(classify(end, { action, target, sent: true }));
}

function endpointOf(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined) throw new Error(`not an API endpoint: ${text}`);
  return endpoint;
}
