import { BoardService, type Client } from "@collaboard/sdk";

const pause = 4_000; // ms

/**
 * Calls onReturn once when a board that was deleted is there again: it asks from time to time while the page is visible,
 * and when somebody comes back to it. Returns what ends it.
 */
export function watchReturn(client: Client, boardId: string, onReturn: () => void): () => void {
  let ended = false;
  let asking = false;
  const ask = async () => {
    if (asking || document.visibilityState !== "visible") {
      return;
    }
    asking = true;
    try {
      await client.call(BoardService.method.getBoard, { boardId });
      if (!ended) {
        end();
        onReturn();
      }
    } catch {
      // It is not, or nobody knows.
    } finally {
      asking = false;
    }
  };
  const end = () => {
    ended = true;
    clearInterval(timer);
    removeEventListener("focus", ask);
    document.removeEventListener("visibilitychange", ask);
  };
  const timer = setInterval(ask, pause);
  addEventListener("focus", ask);
  document.addEventListener("visibilitychange", ask);
  return end;
}
