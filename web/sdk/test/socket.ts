import WebSocket from "ws";

/** A WebSocket that says, as a browser would, that it is of a page of the same server. */
export class PageSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols, { origin: new URL(url).origin.replace(/^ws/, "http") });
  }
}
