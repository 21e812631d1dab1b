import { ErrorCode, FrameError, newID } from "@collaboard/sdk";
import { expect, test } from "vitest";

import { explain, explainRefusal } from "../src/errors.js";

const codes = Object.values(ErrorCode).filter((code) => typeof code === "number");
const board = newID();

function refused(code: ErrorCode): FrameError {
  return new FrameError(board, newID(), {
    $typeName: "collaboard.v1.Error", code, message: "technical", retryable: false, fieldViolations: [],
  });
}

test.for(codes)("a refusal with code %i is told in plain words", (code) => {
  for (const text of [explainRefusal(refused(code), newID()), explain(refused(code))]) {
    expect(text).toMatch(/^[A-Z][A-Za-z ,.:]+\.$/);
    expect(text).not.toMatch(/technical|[A-Z]{2}/);
  }
});

test("the page of a board that is gone says so itself", () => {
  expect(explainRefusal(refused(ErrorCode.BOARD_NOT_FOUND), board)).toBeUndefined();
  expect(explainRefusal(refused(ErrorCode.BOARD_NOT_FOUND), undefined)).toContain("deleted");
  expect(explainRefusal(refused(ErrorCode.TOO_LARGE), board)).toContain("too large");
});
