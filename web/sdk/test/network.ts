import { createServer, connect, type Server as TcpServer, type Socket } from "node:net";
import { once } from "node:events";

/** A network between clients and a server that can be cut or slow, and that can swallow everything, or hold it back. */
export class Network {
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();
  #swallows = false;
  #refuses = false;
  #held: Promise<void> | undefined; // until then nothing arrives
  #release = () => {};
  /** How long the next piece takes, in milliseconds. Nothing overtakes another on the same connection. */
  delay: (() => number) | undefined;
  /** How many connections were made, those that were refused too. */
  connections = 0;

  private constructor(target: () => number) {
    this.#server = createServer((client) => {
      this.connections++;
      client.on("error", () => {});
      if (this.#refuses) {
        client.destroy();
        return;
      }
      const server = connect(target(), "127.0.0.1");
      for (const [from, to] of [[client, server], [server, client]] as const) {
        this.#sockets.add(from);
        let before: Promise<unknown> = Promise.resolve(); // what is still on its way
        from.on("data", (data) => (before = this.#travel(before).then(() => this.#swallows || to.write(data))));
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          void before.then(() => to.destroySoon());
        });
      }
    });
  }

  static async start(target: () => number): Promise<Network> {
    const network = new Network(target);
    network.#server.listen(0, "127.0.0.1");
    await once(network.#server, "listening");
    return network;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  /** Breaks every connection. */
  cut(): void {
    this.#sockets.forEach((socket) => socket.destroy());
  }

  /** Breaks every connection, and refuses new ones until up(). */
  down(): void {
    this.#refuses = true;
    this.cut();
  }

  /** From here on nothing arrives, and nobody is told; until up(). */
  swallow(): void {
    this.#swallows = true;
  }

  /** From here on nothing arrives, until up(): then all of it does. */
  hold(): void {
    this.#held ??= new Promise((resolve) => (this.#release = resolve));
  }

  up(): void {
    this.#refuses = this.#swallows = false;
    this.#held = undefined;
    this.#release();
  }

  close(): void {
    this.#server.close();
    this.up();
    this.cut();
  }

  async #travel(before: Promise<unknown>): Promise<void> {
    const delay = this.delay?.();
    await Promise.all([before, delay !== undefined && new Promise((resolve) => setTimeout(resolve, delay))]);
    await this.#held;
  }
}
