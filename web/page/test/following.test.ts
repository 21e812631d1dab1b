import { create } from "@bufbuild/protobuf";
import { FrameSchema, MemberSchema, type Frame, type Member } from "@collaboard/sdk";
import { expect, test } from "vitest";

import { Activity } from "../src/board/following.js";
import { peopleOf } from "../src/board/people.js";

function member(connectionId: string, userId = "ada", displayName = userId): Member {
  return create(MemberSchema, { connectionId, userId, displayName });
}

function move(connectionId: string, x: number): Frame {
  return create(FrameSchema, { connectionId, payload: { case: "cursorMove", value: { x, y: 0 } } });
}

const tabs = [member("first"), member("second"), member("third")];

test("a user whose connections are still is at the one that came last", () => {
  expect(new Activity().latest(tabs)?.connectionId).toBe("third");
  expect(new Activity().latest([])).toBeUndefined();
});

test("a user is at the connection that moved last, whatever others repeat to whoever comes", () => {
  const activity = new Activity();
  const heard = [move("first", 1), move("second", 1), move("first", 2), move("second", 1), move("third", 7), move("third", 7)];
  expect(heard.map((frame) => activity.heard(frame))).toEqual([false, false, true, false, false, false]);
  expect(activity.latest(tabs)?.connectionId).toBe("first");
  activity.heard(move("second", 2));
  expect(activity.latest(tabs)?.connectionId).toBe("second");
});

test("who draws is there, and the end of a gesture says nothing", () => {
  const activity = new Activity();
  const drag = (connectionId: string, ops: object[]) =>
    create(FrameSchema, { connectionId, payload: { case: "objectDrag", value: { ops } } });
  expect(activity.heard(drag("first", [{}]))).toBe(true);
  expect(activity.heard(drag("second", []))).toBe(false);
  expect(activity.latest(tabs)?.connectionId).toBe("first");
});

test("nothing is kept of connections that are gone", () => {
  const activity = new Activity();
  [move("first", 1), move("first", 2)].forEach((frame) => activity.heard(frame));
  activity.keep([tabs[1]!]);
  expect(activity.heard(move("first", 3))).toBe(false); // as if it were new
  expect(activity.latest(tabs)?.connectionId).toBe("third");
});

test("each person is there once, under the newest name", () => {
  expect(peopleOf([member("1", "ada", "Ada"), member("2", "bob", "Bob"), member("3", "ada", "Ada L.")]))
    .toEqual([{ userId: "ada", name: "Ada L.", connections: 2 }, { userId: "bob", name: "Bob", connections: 1 }]);
});
