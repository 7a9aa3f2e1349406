// Who may import whom. Lower rings never know higher ones.
// test/layers.test.ts feeds this file forbidden imports and expects each to be found.
const PURE = "^(proto|cni/core|daemon/core|daemon/netlink/codec)/";
const EDGE = "^daemon/(netlink|cloud|store|kube|rpc|bgp|metrics|spool|cni-conf|host-files|hybrid-conf|firewall|result-cache)/";
const TEST = "[.]test[.]ts$";
const PURE_PACKAGES = "node_modules/(ip-cidr|zod|jsonc-parser|fastest-levenshtein)/";
export default {
  forbidden: [
    {
      name: "pure-stays-pure",
      severity: "error",
      from: { path: PURE, pathNot: TEST },
      to: { pathNot: [PURE, PURE_PACKAGES] },
    },
    {
      name: "sim-model-is-pure",
      severity: "error",
      from: { path: "^sim/model/", pathNot: TEST },
      to: { pathNot: ["^(proto|sim/model)/", PURE_PACKAGES] },
    },
    {
      name: "proto-is-the-bottom",
      severity: "error",
      from: { path: "^proto/", pathNot: TEST },
      to: { pathNot: ["^proto/", PURE_PACKAGES] },
    },
    {
      name: "cni-is-thin",
      comment: "the plugin knows the contract (proto/) and nothing of the agent",
      severity: "error",
      from: { path: "^cni/", pathNot: TEST },
      to: { path: "^(daemon|sim|test|bench)/" },
    },
    {
      name: "agent-does-not-know-the-simulator",
      comment: "the simulated VPC is another cloud, reached over HTTP",
      severity: "error",
      from: { path: "^(daemon|cni)/", pathNot: TEST },
      to: { path: "^sim/" },
    },
    {
      name: "simulator-does-not-know-the-agent",
      comment: "a simulator that shares the client's code cannot find the client's mistakes",
      severity: "error",
      from: { path: "^sim/", pathNot: TEST },
      to: { path: "^(daemon|cni|test|bench)/" },
    },
    {
      name: "edges-do-not-meet",
      comment: "cloud, store, netlink, rpc meet in daemon/main.ts only",
      severity: "error",
      from: { path: EDGE, pathNot: TEST },
      to: { path: EDGE, pathNot: "^daemon/$1/" },
    },
    {
      name: "nobody-imports-main",
      severity: "error",
      from: {},
      to: { path: "(^|/)main[.]ts$" },
    },
    {
      name: "no-tests-in-programs",
      severity: "error",
      from: { pathNot: [TEST, "^(test|bench)/"] },
      to: { path: [TEST, "^(test|bench)/"] },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "declared-only",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
    },
  },
};
