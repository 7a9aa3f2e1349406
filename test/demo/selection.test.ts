import { describe, expect, it } from "vitest";
import { selectDatapath } from "./selection.ts";

describe("selectDatapath()", () => {
  it("takes each datapath in any case, and veth where nothing is said", () => {
    const table = [
      [undefined, "veth"],
      ["", "veth"],
      ["veth", "veth"],
      ["IPvlan", "ipvlan"],
      ["Overlay", "overlay"],
      [" UNDERLAY ", "underlay"],
    ] as const;
    for (const [text, datapath] of table)
      expect(selectDatapath(text), text).toEqual({ ok: true, value: datapath });
  });

  it("refuses another one with the list of what there is", () => {
    expect(selectDatapath("vxlan")).toEqual({
      ok: false,
      fault: "DATAPATH=vxlan: there is no such datapath; give one of veth, ipvlan, overlay, underlay",
    });
  });
});
