import { expect, test } from "vitest";

import { describeSaving, type SaveFacts } from "../src/board/save-state.js";

const calm: SaveFacts = {
  state: { saving: "saved", unsaved: 0 }, connected: true, writable: true, unsent: false, kept: true,
};

test.for<[Partial<SaveFacts>, string, string]>([
  [{}, "saved", "Saved"],
  [{ state: { saving: "saving", unsaved: 1 } }, "saving", "Saving…"],
  [{ unsent: true }, "saving", "Saving…"],
  [{ state: { saving: "offline", unsaved: 0 }, connected: false }, "saving", "Connecting…"],
  [{ state: { saving: "offline", unsaved: 0 } }, "offline", "Offline"],
  [{ state: { saving: "offline", unsaved: 1 } }, "offline", "Offline: 1 change kept on this device"],
  [{ state: { saving: "offline", unsaved: 3 } }, "offline", "Offline: 3 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3 }, unsent: true }, "offline", "Offline: 4 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3 }, connected: false }, "offline", "Offline: 3 changes kept on this device"],
  [{ state: { saving: "offline", unsaved: 3 }, kept: false }, "offline", "Offline: 3 changes only in this tab"],
  [{ state: { saving: "saving", unsaved: 2 }, writable: false }, "offline", "Not saved: 2 changes kept on this device"],
  [{ writable: false }, "saved", "Saved"],
  [{ state: { saving: "closed", unsaved: 0 } }, "lost", "Disconnected"],
  [{ state: { saving: "closed", unsaved: 5 } }, "lost", "Disconnected: 5 changes kept on this device"],
])("%o is %s: %s", ([facts, look, text]) => {
  expect(describeSaving({ ...calm, ...facts })).toEqual({ look, text });
});
