import {
  ClosedError, ConnectionError, ErrorCode, FrameError, LeftError, newID, OutboxFullError, StatusCode, StatusError,
} from "@collaboard/sdk";
import { expect, test } from "vitest";

import { explain, explainRefusal, explainUndone } from "../src/errors.js";

const codes = Object.values(ErrorCode).filter((code) => typeof code === "number");
const board = newID();

function refused(code: ErrorCode): FrameError {
  return new FrameError(board, newID(), {
    $typeName: "collaboard.v1.Error", code, message: "technical", retryable: false, fieldViolations: [],
  });
}

/** Sentences without the names that programs have for things. */
const plain = /^([A-Z][a-z ,:]+\.( |$))+$/;

test.for(codes)("a refusal with code %i is told in plain words", (code) => {
  for (const text of [explainRefusal(refused(code), newID()), explain(refused(code))]) {
    expect(text).toMatch(plain);
  }
});

test.for(Object.values(StatusCode))("a call that fails with status %i is told in plain words", (code) => {
  expect(explain(new StatusError(code, "technical_detail"))).toMatch(plain);
});

test.for<[string, unknown]>([
  ["a full outbox", new OutboxFullError()], ["a closed client", new ClosedError()], ["a board that was left", new LeftError()],
  ["a client that gave up", new ConnectionError(new StatusError(StatusCode.InvalidArgument, "metadata"))],
  ["a defect", new TypeError("x is undefined")], ["what is no error", "oops: 17"],
])("%s is told in plain words", ([, error]) => {
  for (const text of [explain(error), explainUndone(error)]) {
    expect(text).toMatch(plain);
  }
});

test("the page of a board that is gone says so itself", () => {
  expect(explainRefusal(refused(ErrorCode.BOARD_NOT_FOUND), board)).toBeUndefined();
  expect(explainRefusal(refused(ErrorCode.BOARD_NOT_FOUND), undefined)).toContain("deleted");
  expect(explainRefusal(refused(ErrorCode.TOO_LARGE), board)).toContain("too large");
});
