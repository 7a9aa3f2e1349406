/**
 * Everything that a history happens to.
 *
 * @module
 */
import { type EniId } from "../../proto/ids.ts";
import { type CloudModel } from "./cloud-caller.ts";
import { type KernelModel } from "./kernel-model.ts";
import { type Node } from "./node.ts";
import { type Promises } from "./promises.ts";
import { type Runtime } from "./runtime.ts";
import { type Scheduler } from "./scheduler.ts";
import { type Setting } from "./setting.ts";
import { type SpoolModel } from "./spool-model.ts";
import { type StoreModel } from "./store-model.ts";

export type World = {
  readonly scheduler: Scheduler;
  readonly promises: Promises;
  readonly kernel: KernelModel;
  readonly cloud: CloudModel;
  readonly store: StoreModel;
  readonly spool: SpoolModel;
  readonly node: Node;
  readonly runtime: Runtime;
  readonly setting: Setting;
  /** ENIs that others made. */
  readonly foreign: Set<EniId>;
  /** Until when Describe may answer with what is no more. */
  readonly views: { lateUntilMs: number; mayStick: boolean };
};
