/**
 * Everything that can go wrong and that a caller must tell apart.
 *
 * A fault is a value (returned, stored, logged, sent over gRPC), not an Error. Errors are for bugs: an assertion that
 * fails is thrown and ends the process. Nobody parses the texts.
 *
 * @module
 */

export type Fault =
  /** A CNI_* variable is missing or malformed. Whoever runs the plugin can fix it. */
  | { readonly kind: "bad-env"; readonly names: readonly string[]; readonly reason: string }
  /** Standard input could not be read. */
  | { readonly kind: "stdin"; readonly reason: string }
  /** The network configuration on stdin is not JSON. `line` and `column` count from 1. */
  | { readonly kind: "bad-json"; readonly line: number; readonly column: number; readonly reason: string }
  /** The network configuration is JSON but wrong. The operator can fix it. */
  | { readonly kind: "bad-config"; readonly key: string; readonly reason: string }
  | { readonly kind: "unsupported-version"; readonly given: string; readonly supported: readonly string[] }
  /** CNI_NETNS is not the path of a network namespace. */
  | { readonly kind: "bad-netns"; readonly path: string; readonly reason: string }
  /** Nobody answers on the socket. */
  | { readonly kind: "agent-unreachable"; readonly socketPath: string; readonly reason: string }
  /** The agent answered with something that is not our protocol, or speaks another version of it. */
  | { readonly kind: "agent-protocol"; readonly reason: string }
  /** The call took longer than the caller would wait. */
  | { readonly kind: "deadline"; readonly what: string; readonly waitedMs: number; readonly cause?: string }
  /** Another call for the same attachment is being carried out. */
  | { readonly kind: "attachment-busy"; readonly attachment: string }
  /** The agent starts or stops; `reason` says which step it is at. */
  | { readonly kind: "not-ready"; readonly reason: string }
  /** No address can be had. `cause` is the newest refusal of the cloud, in one line. */
  | {
      readonly kind: "no-address";
      readonly reason: string;
      readonly cause?: string;
      readonly retryAfterMs?: number;
    }
  /** All addresses of the block of a hybrid node are in use. */
  | { readonly kind: "block-full"; readonly block: string; readonly reason: string }
  /** A hybrid node has no block to take addresses from. */
  | { readonly kind: "no-block"; readonly reason: string }
  /** The cloud refused. */
  | {
      readonly kind: "cloud";
      /** API name: `"CreateNetworkInterface"`. */
      readonly action: string;
      /** What it was called for: an ENI, a vSwitch, an instance. */
      readonly target: string;
      /** The cloud's own code: `"InvalidVSwitchId.IpNotEnough"`. */
      readonly code: string;
      readonly message: string;
      readonly requestId: string;
      readonly remedy: string;
    }
  /** No usable answer: refused, reset, timed out, not JSON. The call may have had its effect. */
  | {
      readonly kind: "cloud-unreachable";
      readonly action: string;
      readonly target: string;
      readonly reason: string;
    }
  /** The metadata service (100.100.100.200) gave no usable answer; `isAbsent`: it answered that there is no such thing. */
  | { readonly kind: "metadata"; readonly path: string; readonly reason: string; readonly isAbsent?: true }
  /** A system call on links, routes, rules or nftables failed. */
  | { readonly kind: "kernel"; readonly op: string; readonly errno: string; readonly extAck?: string }
  /** A device of the node that is not ours stands in the way. `owner`: who makes such devices. */
  | {
      readonly kind: "foreign-device";
      readonly device: string;
      readonly owner: string;
      readonly reason: string;
    }
  /** The interface is there already and is not the one of this attachment. */
  | { readonly kind: "interface-exists"; readonly ifName: string; readonly netns: string }
  /** The database on the node failed. */
  | { readonly kind: "store"; readonly op: string; readonly reason: string }
  /** STATUS: a new pod could not be served now. `cause` is the newest refusal, in one line. */
  | { readonly kind: "cannot-serve"; readonly reason: string; readonly cause?: string }
  /** STATUS: what pods that run need is missing on the node. */
  | { readonly kind: "pods-affected"; readonly differences: readonly string[] }
  /** CHECK: the attachment is not as ADD made it. One difference a line: what it is about, what is wrong. */
  | { readonly kind: "check-failed"; readonly attachment: string; readonly differences: readonly string[] }
  /** The agent could not be told of a DEL, and the DEL could not be kept for it either. */
  | { readonly kind: "spool"; readonly directory: string; readonly reason: string }
  /** A bug. The log of the agent has the stack. */
  | { readonly kind: "internal"; readonly reason: string };

export type FaultKind = Fault["kind"];

/**
 * The CNI `code` of each kind: 1-99 are the specification's, 100 and up are ours. 11 asks the runtime to try again.
 * Source: CNI SPEC.md 1.1.0, section "Error".
 */
const CNI_CODE = {
  "bad-env": 4,
  stdin: 5,
  "bad-json": 6,
  "bad-config": 7,
  "unsupported-version": 1,
  "bad-netns": 8,
  "agent-unreachable": 11,
  "agent-protocol": 101,
  deadline: 11,
  "attachment-busy": 11,
  "not-ready": 11,
  "no-address": 11,
  "block-full": 11,
  "no-block": 11,
  cloud: 11,
  "cloud-unreachable": 11,
  metadata: 11,
  kernel: 100,
  "foreign-device": 104,
  "interface-exists": 102,
  store: 11,
  "cannot-serve": 50,
  "pods-affected": 51,
  "check-failed": 103,
  spool: 11,
  internal: 999,
} as const satisfies Record<FaultKind, number>;

/** gRPC status of each kind. Source: grpc/grpc `doc/statuscodes.md`. */
const GRPC_STATUS = {
  "bad-env": 3, // INVALID_ARGUMENT
  stdin: 3,
  "bad-json": 3,
  "bad-config": 3,
  "unsupported-version": 3,
  "bad-netns": 3,
  "agent-unreachable": 14, // UNAVAILABLE
  "agent-protocol": 9, // FAILED_PRECONDITION
  deadline: 4, // DEADLINE_EXCEEDED
  "attachment-busy": 10, // ABORTED
  "not-ready": 14,
  "no-address": 8, // RESOURCE_EXHAUSTED
  "block-full": 8,
  "no-block": 14,
  cloud: 14,
  "cloud-unreachable": 14,
  metadata: 14,
  kernel: 13, // INTERNAL
  "foreign-device": 9,
  "interface-exists": 6, // ALREADY_EXISTS
  store: 13,
  "cannot-serve": 14,
  "pods-affected": 14,
  "check-failed": 9,
  spool: 13,
  internal: 13,
} as const satisfies Record<FaultKind, number>;

export function cniCode(fault: Fault): number {
  return CNI_CODE[fault.kind];
}

export function grpcStatus(fault: Fault): number {
  return GRPC_STATUS[fault.kind];
}

/** What happened, to what: one line for people. */
export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case "bad-env":
      return `${fault.reason}: ${fault.names.join(", ")}`;
    case "stdin":
      return `cannot read the network configuration from stdin: ${fault.reason}`;
    case "bad-json":
      return `network configuration is not JSON: line ${fault.line}, column ${fault.column}: ${fault.reason}`;
    case "bad-config":
      return `network configuration: ${fault.key}: ${fault.reason}`;
    case "unsupported-version":
      return `cniVersion ${JSON.stringify(fault.given)} is not supported`;
    case "bad-netns":
      return `CNI_NETNS ${fault.path}: ${fault.reason}`;
    case "agent-unreachable":
      return `the terway agent does not answer at ${fault.socketPath}: ${fault.reason}`;
    case "agent-protocol":
      return `the terway agent and this plugin do not understand each other: ${fault.reason}`;
    case "deadline":
      return `${fault.what} took longer than ${Math.round(fault.waitedMs)} ms${because(fault.cause)}`;
    case "attachment-busy":
      return `another call for ${fault.attachment} is being carried out`;
    case "not-ready":
      return `the terway agent is not ready: ${fault.reason}`;
    case "no-address":
      return `no address for the pod: ${fault.reason}${because(fault.cause)}`;
    case "block-full":
      return `no address for the pod: block ${fault.block} of this node is full: ${fault.reason}`;
    case "no-block":
      return `no address for the pod: ${fault.reason}`;
    case "cloud":
      return `${fault.action} for ${fault.target}: ${fault.code}: ${fault.message} (request ${fault.requestId})`;
    case "cloud-unreachable":
      return `${fault.action} for ${fault.target}: no answer from the cloud: ${fault.reason}`;
    case "metadata":
      return `metadata service, ${fault.path}: ${fault.reason}`;
    case "kernel":
      return `${fault.op}: ${fault.errno}${fault.extAck === undefined ? "" : ` (${fault.extAck})`}`;
    case "foreign-device":
      return `the device ${fault.device} belongs to ${fault.owner}: ${fault.reason}`;
    case "interface-exists":
      return `${fault.ifName} exists already in ${fault.netns} and is not this attachment's`;
    case "store":
      return `the agent's database: ${fault.op}: ${fault.reason}`;
    case "cannot-serve":
      return `a new pod could not be served: ${fault.reason}${because(fault.cause)}`;
    case "pods-affected":
      return `pods of this node may be cut off: ${fault.differences.join("; ")}`;
    case "check-failed":
      return `${fault.attachment} is not as ADD made it: ${fault.differences.join("; ")}`;
    case "spool":
      return `the DEL could not be kept for the agent in ${fault.directory}: ${fault.reason}`;
    case "internal":
      return `internal error: ${fault.reason}`;
    default:
      return fault satisfies never;
  }
}

function because(cause: string | undefined): string {
  return cause === undefined ? "" : `; cause: ${cause}`;
}

/** What to do about it: one line for people. */
export function remedyFor(fault: Fault): string {
  switch (fault.kind) {
    case "bad-env":
    case "stdin":
      return "call the plugin as a CNI runtime does (CNI SPEC.md 1.1.0, section 2)";
    case "bad-config":
      if (fault.key.startsWith("runtimeConfig"))
        return "correct the pod's annotation or what else the runtime takes it from; without it there is no limit";
      return "correct the file in /etc/cni/net.d (from 10-terway.conf of the ConfigMap eni-config)";
    case "bad-json":
      return "correct the file in /etc/cni/net.d (from 10-terway.conf of the ConfigMap eni-config)";
    case "unsupported-version":
      return `use one of ${fault.supported.join(", ")}`;
    case "bad-netns":
      return "give the path of a network namespace that exists, such as /run/netns/NAME";
    case "agent-unreachable":
      return "is terwayd running on this node? Its log says why not; the runtime will try again";
    case "agent-protocol":
      return "install the plugin and the agent of the same release, or of two consecutive ones";
    case "deadline":
      return "the runtime will try again; the agent's log names the step that is slow";
    case "attachment-busy":
      return "wait for the other call; the runtime will try again";
    case "not-ready":
      return "wait; the runtime will try again";
    case "no-address":
      return "add a vSwitch with free addresses for this zone to eni-config, or place fewer pods on this node";
    case "block-full":
      return "place fewer pods on this node, or choose a smaller nodeMaskSize and a larger block";
    case "no-block":
      return "correct the record of this node where the hybrid network is described (docs/hybrid-configuration.md)";
    case "cloud":
      return fault.remedy;
    case "cloud-unreachable":
      return "check the route from this node to the API endpoint and the endpoint's name";
    case "metadata":
      return "check that 100.100.100.200 is reachable from this node (host firewall, hop limit)";
    case "kernel":
      return "look at the agent's log; the change was undone";
    case "foreign-device":
      return "one agent a node: keep that one's DaemonSet off this node and delete its device, or keep terway off";
    case "interface-exists":
      return "delete the interface, or use a fresh network namespace";
    case "store":
      return "pods that run are not touched; the agent and the runtime try again until it can be written";
    case "cannot-serve":
      return "start terwayd on this node if it is not running; else give it more addresses: a vSwitch with free ones for this zone in eni-config, or on premises a larger block";
    case "pods-affected":
      return "the agent mends what it can; its log says what it could not";
    case "check-failed":
      return "delete the pod and let it be made again; the agent's log may say who changed it";
    case "spool":
      return "make room in the directory, which has to belong to root; the runtime will try again";
    case "internal":
      return "report it with the agent's log";
    default:
      return fault satisfies never;
  }
}
