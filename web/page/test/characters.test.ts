import { BoardService, Client, StatusCode } from "@collaboard/sdk";
import { expect, onTestFinished, test } from "vitest";

import { limitCharacters, maxBoardName, oneLine } from "../src/ui/characters.js";
import { cleanName, maxName } from "../src/user.js";
import { Server } from "../../sdk/test/server.js";
import { PageSocket } from "../../sdk/test/socket.js";
import type {} from "../../sdk/test/build-server.js";

const { createBoard } = BoardService.method;
const letters = ["a", "ж", "😀", "👩‍👧"];

async function serve(): Promise<(displayName: string) => Client> {
  const server = await Server.start();
  onTestFinished(() => server.remove());
  return (displayName) => {
    const client = new Client({ url: server.url, userId: "ada", displayName, storage: false, webSocket: PageSocket });
    onTestFinished(() => client.close());
    return client;
  };
}

test("as much of a board's name is left as the server takes", async () => {
  const client = (await serve())("Ada");
  for (const letter of letters) {
    const name = limitCharacters(oneLine(letter.repeat(maxBoardName + 50)), maxBoardName);
    expect(await client.call(createBoard, { name })).toMatchObject({ name });
    await expect(client.call(createBoard, { name: name + letter })).rejects.toMatchObject({ code: StatusCode.InvalidArgument });
    expect(limitCharacters(oneLine(name), maxBoardName)).toBe(name);
  }
});

test("as much of a user's name is left as the server takes", async () => {
  const as = await serve();
  for (const letter of letters) {
    const name = cleanName(letter.repeat(maxName + 50));
    expect([...name]).toHaveLength(maxName);
    await as(name).call(createBoard, { name: "a" });
    await expect(as(name + letter).call(createBoard, { name: "a" })).rejects.toMatchObject({ code: StatusCode.InvalidArgument });
    expect(cleanName(name)).toBe(name);
  }
});

test.for<[string, string]>([
  [" a \n\t b ", "a b"], ["a\u0000\u202eb", "a b"], ["\u200b", ""], ["👩‍👧", "👩👧"], ["\ud800a", "a"], ["❤️", "❤️"],
])("%j is %j on one line", ([text, line]) => {
  expect(oneLine(text)).toBe(line);
});
