import type { Durable, Frame } from "@collaboard/sdk";

import { stepOf, type Op, type Step } from "./mapping.js";

/** One change is a frame of its own, several are a batch. */
export function frameOf(ops: Op[]): Durable {
  const op = ops[0]?.op;
  if (ops.length > 1 || op === undefined) {
    return { case: "objectBatch", value: { ops } };
  }
  switch (op.case) {
    case "create":
      return { case: "objectCreate", value: op.value };
    case "update":
      return { case: "objectUpdate", value: op.value };
    case "delete":
      return { case: "objectDelete", value: op.value };
    default:
      return { case: "objectBatch", value: { ops } };
  }
}

/** What a frame of the log, or a ghost, does to elements. */
export function stepsOf(payload: Frame["payload"]): Step[] {
  switch (payload.case) {
    case "objectBatch":
    case "objectDrag":
      return payload.value.ops.flatMap((op) => stepOf(op) ?? []);
    case "objectCreate":
      return [stepOf({ op: { case: "create", value: payload.value } }) ?? []].flat();
    case "objectUpdate":
      return [stepOf({ op: { case: "update", value: payload.value } }) ?? []].flat();
    case "objectDelete":
      return [stepOf({ op: { case: "delete", value: payload.value } }) ?? []].flat();
    default:
      return [];
  }
}
