import { expect, test } from "vitest";

import { describeSaving, type SaveFacts } from "../src/board/save-state.js";

const calm: SaveFacts = {
  state: { saving: "saved", unsaved: 0, kept: true }, connected: true, writable: true, unsent: false,
};

test.for<[Partial<SaveFacts>, string, string]>([
  [{}, "saved", "Saved"],
  [{ state: { saving: "saving", unsaved: 1, kept: true } }, "saving", "Saving…"],
  [{ unsent: true }, "saving", "Saving…"],
  [{ state: { saving: "offline", unsaved: 0, kept: true }, connected: false }, "saving", "Connecting…"],
  [{ state: { saving: "offline", unsaved: 0, kept: true } }, "offline", "Offline"],
  [{ state: { saving: "offline", unsaved: 1, kept: true } }, "offline", "Offline: 1 change kept on this device"],
  [{ state: { saving: "offline", unsaved: 3, kept: true } }, "offline", "Offline: 3 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3, kept: true }, unsent: true }, "offline", "Offline: 4 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3, kept: true }, connected: false }, "offline", "Offline: 3 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3, kept: false } }, "offline", "Offline: 3 changes only in this tab"],
  [{ state: { saving: "saving", unsaved: 2, kept: true }, writable: false }, "offline", "Not saved: 2 changes kept on this device"],
  [{ writable: false }, "saved", "Saved"],
  [{ state: { saving: "closed", unsaved: 0, kept: true } }, "lost", "Disconnected"],
  [{ state: { saving: "closed", unsaved: 5, kept: true } }, "lost", "Disconnected: 5 changes kept on this device"],
])("%o is %s: %s", ([facts, look, text]) => {
  expect(describeSaving({ ...calm, ...facts })).toEqual({ look, text });
});
