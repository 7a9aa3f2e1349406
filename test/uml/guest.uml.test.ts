import { describe, expect, it } from "vitest";
import { sh } from "../../daemon/netlink/lab.ts";

describe("the guest of runInUml()", () => {
  it("makes ipvlan slaves in the namespace of a pod, which reach each other", () => {
    sh("ip link add uplink type dummy");
    sh("ip link set uplink up");
    for (const pod of ["p1", "p2"]) {
      sh(`ip netns add ${pod}`);
      sh(`ip link add link uplink name eth0 netns ${pod} type ipvlan mode l2 bridge`);
      sh(`ip -n ${pod} link set eth0 up`);
      sh(`ip -n ${pod} address add 10.0.0.${pod.slice(1)}/24 dev eth0`);
    }
    expect(sh("ip netns exec p1 ping -q -c 2 -i 0.1 10.0.0.2")).toContain(" 2 received");
    for (const pod of ["p1", "p2"]) sh(`ip netns del ${pod}`);
    sh("ip link del uplink");
  });
});
