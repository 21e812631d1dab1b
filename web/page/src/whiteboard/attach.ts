import { CaptureUpdateAction, newElementWith, zoomToFitBounds } from "@excalidraw/excalidraw";
import type { OrderedExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { AppState, ExcalidrawImperativeAPI, SocketId } from "@excalidraw/excalidraw/types";
import type { Board, Client, Viewport } from "@collaboard/sdk";

import { leaving } from "../route.js";
import { defaultLimits, type Limits } from "./batches.js";
import { Engine } from "./engine.js";
import { Files, remoteOf } from "./files.js";
import { FileStore } from "./filestore.js";
import { loadFonts } from "./fonts.js";
import { Presence } from "./presence.js";

const fontsPause = 1000;

export interface AttachHooks {
  onFollow(connectionId: string | undefined): void;
  onSaving(unsent: boolean): void;
  onError(message: string): void;
}

export interface Attachment {
  readonly presence: Presence;
  readonly files: Files;
  /** Shows what the member sees, from now on. */
  follow(connectionID: string | undefined): void;
  /** Ends it; what is unsent is submitted. */
  stop(): void;
}

/** Connects an instance of Excalidraw with a board. The scene is changed at most once before each paint. */
export function attach(api: ExcalidrawImperativeAPI, client: Client, board: Board, hooks: AttachHooks): Attachment {
  let frame: number | undefined;
  let tick: (() => void) | undefined;
  let painted = false;
  let arriving = true; // the board was not shown yet
  let fonts: ReturnType<typeof setTimeout> | undefined;
  let following: string | undefined;
  const saving = { unsent: false, uploads: false };

  const request = () => {
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      painted = false;
      const now = tick;
      tick = undefined;
      now?.();
      if (!painted) {
        paint(undefined);
      }
      if (arriving && board.replica !== undefined && !api.getAppState().isLoading) {
        arriving = false;
        files.look(api.getSceneElementsIncludingDeleted());
        files.arrived();
        fonts = setTimeout(loadFonts, fontsPause); // what is on the board comes first
      }
    });
  };

  const paint = (elements: readonly OrderedExcalidrawElement[] | undefined) => {
    painted = true;
    const collaborators = presence.take();
    const appState = { ...followState(), ...viewState() };
    const view = Object.keys(appState).length > 0;
    if (elements !== undefined || collaborators !== undefined || view) {
      api.updateScene({
        ...(elements && { elements }),
        ...(collaborators && { collaborators }),
        ...(view && { appState: appState as AppState }),
        captureUpdate: CaptureUpdateAction.NEVER,
      });
    }
    if (elements !== undefined && arriving) {
      api.scrollToContent(elements.filter((e) => !e.isDeleted), { fitToContent: true, animate: false });
    }
  };

  const isHere = (connectionID: string) => board.members.some((m) => m.connectionId === connectionID);

  const followState = (): Partial<AppState> => {
    const now: string | undefined = api.getAppState().userToFollow?.socketId;
    if (now === following) {
      return {};
    }
    const left = now !== undefined && !isHere(now);
    if (left) { // nobody first: Excalidraw would take the next one's following for that of the one who has left, and end it
      request();
    }
    const member = left ? undefined : board.members.find((m) => m.connectionId === following);
    return {
      userToFollow: member === undefined ? null
        : { socketId: member.connectionId as SocketId, username: member.displayName },
    };
  };

  const viewState = (): Partial<AppState> => {
    const viewport = presence.view(following);
    return viewport === undefined ? {} : stateFor(viewport, api.getAppState());
  };

  const tell = (change: Partial<typeof saving>) => {
    const before = saving.unsent || saving.uploads;
    Object.assign(saving, change);
    const after = saving.unsent || saving.uploads;
    if (before !== after) {
      hooks.onSaving(after);
    }
  };

  const presence: Presence = new Presence(board, {
    connectionID: () => client.connectionId,
    changed: request,
    gestures: () => engine?.layers.haunting() ?? new Set(),
  });
  const store = new FileStore(board.id);
  const files = new Files(remoteOf(client, board.id), store, {
    known: () => api.getFiles(),
    add: (added) => api.addFiles(added),
    uploaded: (ids, patch) => engine.amend(ids, patch),
    takeBack: (ids) => api.updateScene({ // as if the user had deleted them
      elements: api.getSceneElementsIncludingDeleted().map((e) => ids.includes(e.id) ? newElementWith(e, { isDeleted: true }) : e),
      captureUpdate: CaptureUpdateAction.NEVER,
    }),
    busy: (uploads) => tell({ uploads }),
    error: hooks.onError,
  });
  const engine: Engine = new Engine(
    board,
    { elements: () => api.getSceneElementsIncludingDeleted(), show: paint, state: () => api.getAppState() },
    {
      frame: (callback) => {
        tick = callback;
        request();
        return () => (tick = undefined);
      },
      later: (ms, callback) => {
        const id = setTimeout(callback, ms);
        return () => clearTimeout(id);
      },
      now: () => performance.now(),
      limits: () => limitsOf(client),
      unsent: (unsent) => tell({ unsent }),
      error: hooks.onError,
      attachment: (fields) => files.attachment(fields),
      typing: () => presence.typing(),
    });

  const flush = () => document.visibilityState === "hidden" && engine.flush(); // frames are not painted any more
  document.addEventListener("visibilitychange", flush);
  const stay = (event: Event) => {
    engine.flush();
    if (saving.unsent) { // there is no more room to keep it in
      event.preventDefault();
      hooks.onError("Too many changes wait to be saved. Stay on this board, or the last ones are lost.");
    }
  };
  window.addEventListener(leaving, stay);
  const detach = [
    api.onChange((elements, state) => {
      if (arriving) { // an empty board has arrived, too: what somebody draws on it then is no reason to scroll
        request();
      }
      engine.changed();
      presence.changed(state);
      files.look(elements);
    }),
    api.onUserFollow(({ userToFollow, action }) => {
      if (action === "FOLLOW") {
        hooks.onFollow(userToFollow.socketId);
      } else if (api.getAppState().userToFollow === null && following === userToFollow.socketId
        && isHere(following)) { // what it means that one has left, others decide
        hooks.onFollow(undefined);
      }
    }),
    watchPointer((pressed) => engine.pressed(pressed)),
    () => document.removeEventListener("visibilitychange", flush),
    () => window.removeEventListener(leaving, stay),
  ];

  return {
    presence,
    files,
    follow: (connectionID) => {
      following = connectionID;
      request();
    },
    stop: () => {
      detach.forEach((off) => off());
      clearTimeout(fonts);
      if (frame !== undefined) {
        cancelAnimationFrame(frame);
      }
      engine.flush();
      engine.stop();
      presence.stop();
      files.stop();
      void store.close().catch(() => {});
    },
  };
}

function limitsOf(client: Client): Limits {
  const { limits } = client;
  return {
    frameBytes: Number(limits?.maxFrameBytes) || defaultLimits.frameBytes,
    objectBytes: Number(limits?.maxObjectBytes) || defaultLimits.objectBytes,
    ops: limits?.maxBatchOps || defaultLimits.ops,
  };
}

/** Where to scroll, and how far to zoom, to see all that a viewport shows. */
function stateFor({ x, y, width, height }: Viewport, state: AppState): Partial<AppState> {
  if (!(width > 0 && height > 0)) {
    return {};
  }
  const { appState } = zoomToFitBounds({ bounds: [x, y, x + width, y + height], appState: state, fitToViewport: true });
  return { scrollX: appState.scrollX, scrollY: appState.scrollY, zoom: appState.zoom };
}

/** Says when a button of the pointer goes down anywhere on the page, and when all are up. */
function watchPointer(pressed: (pressed: boolean) => void): () => void {
  const stop = new AbortController();
  const options = { capture: true, passive: true, signal: stop.signal };
  let is = false;
  const set = (now: boolean) => now !== is && pressed((is = now));
  window.addEventListener("pointerdown", () => set(true), options);
  window.addEventListener("pointerup", (event) => event.buttons === 0 && set(false), options);
  window.addEventListener("pointercancel", () => set(false), options);
  window.addEventListener("pointermove", (event) => event.buttons === 0 && set(false), options); // it went up elsewhere
  window.addEventListener("blur", () => set(false), options);
  return () => stop.abort();
}
