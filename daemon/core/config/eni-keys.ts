/**
 * Every key of `eni_conf`: the one source for types, defaults, units, ranges, words and support. The names are those of
 * the ConfigMap `eni-config`.
 *
 * @module
 */
import * as z from "zod";
import { key, type KeyTable, later } from "./key-table.ts";
import {
  cidrText,
  count,
  duration,
  endpoint,
  fraction,
  fractionText,
  instanceTypeLimits,
  oneOf,
  rateLimits,
  secretText,
  securityGroup,
  securityGroups,
  tags,
  text,
  vSwitchesByZone,
} from "./kinds.ts";

/** An ENI has at most 20 tags (API CreateNetworkInterface, Tag.N); five are kept for the agent's own. */
export const ENI_TAGS_MAX = 15;

/** Security groups that one ENI can be in (API CreateNetworkInterface, SecurityGroupIds.N). */
export const SECURITY_GROUPS_MAX = 5;

const shape = {
  version: key(text("the version of this file's format").default("1"), {
    meaning: 'Format of this file. Only "1" exists; another value is a warning.',
  }),
  vswitches: key(vSwitchesByZone(), {
    meaning:
      "Where ENIs get their addresses from: for each zone its vSwitches, in order of preference. A node uses those of its own zone only.",
  }),
  vswitch_selection_policy: key(oneOf(["ordered", "random", "most"]).default("ordered"), {
    meaning:
      "Which vSwitch of the zone the next ENI is made in. `ordered`: the first one that is not exhausted, exactly in the order given. `random`: any. `most`: the one with the most free addresses. (Other versions of Terway fall back to `random`, and some read `ordered` as `most`.)",
  }),
  vswitch_retry_after: key(duration("1s", "24h").prefault("10m"), {
    meaning: "How long a vSwitch that ran out of addresses is left alone before it is tried again.",
    ours: true,
  }),
  security_group: key(securityGroup().optional(), {
    meaning: "Security group of new ENIs. Added to `security_groups` where both are given.",
    absent: "that of the node's primary ENI",
  }),
  security_groups: key(securityGroups(SECURITY_GROUPS_MAX).default([]), {
    meaning: "Security groups of new ENIs.",
    unit: "security groups",
  }),
  service_cidr: key(cidrText().optional(), {
    meaning:
      "Addresses of the cluster's Services. With `IPVlan` what pods send there is taken into the node's own network stack, where Services are resolved; without it pods reach no Service. With `veth` all traffic passes that stack, so it is checked and nothing else follows from it.",
    absent: "none",
  }),
  max_pool_size: key(count(0, 10_000).default(5), {
    meaning: "More idle addresses than this are given back to the cloud.",
    unit: "addresses",
  }),
  min_pool_size: key(count(0, 10_000).default(0), {
    meaning: "Fewer idle addresses than this are refilled, before a pod asks.",
    unit: "addresses",
  }),
  max_eni: key(count(0, 64).default(0), {
    meaning: "Most ENIs for pods on a node, beside the primary one. 0: what the instance type allows.",
    unit: "ENIs",
  }),
  min_eni: key(count(0, 64).default(0), {
    meaning: "Where above 0 it replaces `min_pool_size` by the addresses of so many ENIs.",
    unit: "ENIs",
  }),
  eni_cap_ratio: key(fraction(0, 1).default(1), {
    meaning:
      "Share of the instance type's ENIs that pods may use; the primary one is taken off afterwards. 0 means 1.",
    unit: "share",
  }),
  eni_cap_shift: key(count(-64, 64).default(0), {
    meaning: "Added to the number of ENIs that `eni_cap_ratio` gives.",
    unit: "ENIs",
  }),
  eni_selection_policy: key(oneOf(["most_ips", "least_ips"]).default("most_ips"), {
    meaning:
      "Which ENI gets the next address: the fullest one (`most_ips`) or the emptiest one (`least_ips`).",
  }),
  eni_tags: key(tags(ENI_TAGS_MAX).default({}), {
    meaning: "Tags of new ENIs, beside the agent's own.",
    unit: "tags",
  }),
  eni_tag_filter: key(tags(20).default({}), {
    meaning:
      "ENIs of the node that carry all of these tags are used for pods too, beside those that the agent made. Empty: only its own.",
    unit: "tags",
  }),
  resource_group_id: key(text("the id of a resource group").optional(), {
    meaning: "Resource group of new ENIs.",
    absent: "the account's default group",
  }),
  address_cooldown: key(duration("0s", "1h").prefault("30s"), {
    meaning: "How long a released address is kept back before another pod can get it.",
    ours: true,
  }),
  orphan_eni_after: key(duration("1s", "24h").prefault("10m"), {
    meaning:
      "An ENI that an agent made, that is attached to nothing and that no living node can claim is deleted after so long. It is looked for six times less often.",
    ours: true,
  }),
  ip_pool_sync_period: key(duration("5s", "24h").prefault("120s"), {
    meaning: "How long there must be too many idle addresses before some are given back to the cloud.",
  }),
  idle_ip_reclaim_after: key(duration("0s", "720h").optional(), {
    meaning: "Idle addresses below `max_pool_size` are given back after so long without an ADD or DEL.",
    absent: "never",
    noEffect: true,
  }),
  idle_ip_reclaim_interval: key(duration("1s", "24h").prefault("10m"), {
    meaning: "Time between two such rounds.",
    noEffect: true,
  }),
  idle_ip_reclaim_batch_size: key(count(1, 1000).default(5), {
    meaning: "Addresses given back in one such round.",
    unit: "addresses",
    noEffect: true,
  }),
  idle_ip_reclaim_jitter_factor: key(fractionText(0, 1).prefault("0.1"), {
    meaning: "How much such rounds vary at random, as a share of the interval.",
    unit: "share",
    noEffect: true,
  }),
  instance_type_limits: key(instanceTypeLimits().default({}), {
    meaning:
      "What an instance type allows: `eni` ENIs, the primary one included, with `ip` IPv4 addresses each, the primary one included, and `ipv6` IPv6 addresses each (absent: as many). Needed only for types that the agent does not know; it wins over what the agent knows.",
    ours: true,
  }),
  add_timeout: key(duration("1s", "4m").prefault("90s"), {
    meaning: "How long a pod waits for an address before its ADD fails with the cloud's reason.",
    ours: true,
  }),
  cloud_timeout: key(duration("1s", "2m").prefault("15s"), {
    meaning: "How long one call of the cloud's API may take.",
    ours: true,
  }),
  rate_limit: key(rateLimits().default({}), {
    meaning: "Calls a minute that this node makes at most, for each API action.",
    unit: "calls a minute",
    absent: "60 for each action",
  }),
  region_id: key(text('the id of a region, such as "cn-hangzhou"').optional(), {
    meaning: "Region of the API.",
    absent: "that of the instance, from its metadata",
  }),
  ecs_endpoint: key(endpoint().optional(), {
    meaning:
      "Where the ECS API is reached. The environment variable `ECS_ENDPOINT` wins. `http://` sends everything unencrypted: for tests.",
    absent: "`ecs-vpc.REGION.aliyuncs.com`",
    ours: true,
  }),
  vpc_endpoint: key(endpoint().optional(), {
    meaning: "The same for the VPC API and the environment variable `VPC_ENDPOINT`.",
    absent: "`vpc-vpc.REGION.aliyuncs.com`",
    ours: true,
  }),
  access_key: key(secretText().optional(), {
    meaning: "AccessKey id. Used where the Secret is not mounted.",
    absent: "see [Credentials](#credentials)",
  }),
  access_secret: key(secretText().optional(), {
    meaning: "AccessKey secret, given together with `access_key`.",
    absent: "see [Credentials](#credentials)",
  }),
  ip_stack: key(oneOf(["ipv4", "dual", "ipv6"]).default("ipv4"), {
    meaning:
      "Address families of pods: IPv4, both, or IPv6 alone. The last two need vSwitches with an IPv6 block and the actions `ecs:AssignIpv6Addresses` and `ecs:UnassignIpv6Addresses`. Pods that run keep what they have when it changes.",
  }),
};

const secretInstead = "mount the Secret alibaba-addon-secret and remove the key";

/** Keys of other versions of Terway. */
const unsupported = {
  credential_path: later("Encrypted file with a rotating token.", "refused", [], secretInstead),
  enable_eni_trunking: later("Trunk ENIs with member ENIs for pods.", "refused", [false]),
  enable_erdma: later("RDMA devices for pods.", "refused", [false]),
  ipam_type: later("`crd`: addresses are given out by a central controller.", "refused", [], 'write ""'),
  enable_ip_prefix: later("Prefixes instead of single addresses.", "refused", [false]),
  ipv4_prefix_count: later("IPv4 prefixes of a node.", "refused", [0]),
  ipv6_prefix_count: later("IPv6 prefixes of a node.", "refused", [0]),
  custom_stateful_workload_kinds: later("Kinds of workload whose pods keep their address.", "refused", [[]]),
  extra_routes: later("Further routes in pods.", "refused", [[]]),
  hot_plug: later('"false": only ENIs that are attached already are used.', "refused", ["true", true]),
  eni_tag_block_list: later(
    "ENIs with these tags are never used. The agent uses only ENIs that it made or that `eni_tag_filter` names.",
    "ignored",
    [[]],
  ),
  ip_warm_up_size: later("Addresses taken once on a new node.", "ignored", [0], "use min_pool_size"),
  backoff_override: later("Times between retries. The agent has its own.", "ignored", [{}]),
  kube_client_qps: later("Rate of Kubernetes API calls. The agent makes none for a pod.", "ignored", [0]),
  kube_client_burst: later("Burst of Kubernetes API calls.", "ignored", [0]),
  enable_patch_pod_ips: later("Annotates pods with their addresses.", "ignored", [false]),
  disable_device_plugin: later("Device plugin for ENI resources; the agent has none.", "ignored", [true]),
  prefix: later("Without effect in every version.", "ignored", []),
  enable_eip_pool: later("Elastic IPs; moved to another product.", "ignored", ["false", false]),
  allow_eip_rob: later("Elastic IPs; moved to another product.", "ignored", ["false", false]),
  enable_eip_migrate: later("Elastic IPs; moved to another product.", "ignored", ["false", false]),
  eni_cap_policy: later("Removed from Terway.", "ignored", []),
  wait_trunk_eni: later("Removed from Terway.", "ignored", ["false", false]),
  disable_security_group_check: later("Removed from Terway.", "ignored", [false]),
};

/** The table of `eni_conf`. Which keys belong into the other file, `eni-conf.ts` adds. */
export const ENI_KEYS: Omit<KeyTable<typeof shape>, "other"> = {
  file: "eni_conf",
  schema: z.object(shape),
  unsupported,
};
