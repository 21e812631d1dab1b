import { BoardService, Client, StatusCode } from "@collaboard/sdk";
import { expect, onTestFinished, test } from "vitest";

import { limitBoardName, maxBoardName } from "../src/ui/board-name.js";
import { Server } from "../../sdk/test/server.js";
import { PageSocket } from "../../sdk/test/socket.js";
import type {} from "../../sdk/test/build-server.js";

test("as much of a name is left as the server takes", async () => {
  const server = await Server.start();
  onTestFinished(() => server.remove());
  const client = new Client({ url: server.url, userId: "ada", storage: false, webSocket: PageSocket });
  onTestFinished(() => client.close());
  for (const letter of ["a", "ж", "😀"]) {
    const name = limitBoardName(letter.repeat(maxBoardName + 50));
    expect(await client.call(BoardService.method.createBoard, { name })).toMatchObject({ name });
    await expect(client.call(BoardService.method.createBoard, { name: name + letter }))
      .rejects.toMatchObject({ code: StatusCode.InvalidArgument });
    expect(limitBoardName(name)).toBe(name);
  }
});
