import { afterAll, afterEach, beforeAll } from "vitest";

import { BoardService, Client, type Board, type ClientOptions } from "../src/index.js";
import { Network } from "./network.js";
import { Server } from "./server.js";
import { PageSocket } from "./socket.js";

/** A server for the tests of a file, and a network in front of it. */
export const server = new Server();
export let network: Network;
const clients: Client[] = [];

beforeAll(async () => {
  await server.start();
  network = await Network.start(() => server.port);
});

afterEach(async () => {
  network.up();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  network.close();
  await server.remove();
});

/** A client behind the network, which is closed at the end of the test. It keeps nothing, and pauses briefly. */
export function newClient(options: Partial<ClientOptions> = {}): Client {
  const client = new Client({
    url: network.url, webSocket: PageSocket, storage: false, userId: "ada", backoff: { shortest: 5, longest: 50 }, ...options,
  });
  clients.push(client);
  return client;
}

export async function newBoard(client: Client): Promise<string> {
  return (await client.call(BoardService.method.createBoard, { name: "a board" })).id;
}

export async function joined(client: Client, id: string): Promise<Board> {
  const board = client.join(id);
  await board.joined;
  return board;
}
