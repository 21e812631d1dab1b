import { CaptureUpdateAction, elementPartiallyOverlapsWithOrContainsBBox, Excalidraw, MainMenu } from "@excalidraw/excalidraw";
import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { AppState, BinaryFileData, Collaborator, ExcalidrawImperativeAPI, SocketId } from "@excalidraw/excalidraw/types";
import type { Board, Client } from "@collaboard/sdk";
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type PointerEvent, type ReactElement } from "react";

import type { Moment } from "../history/log.js";
import { colorOf } from "./color.js";
import { dataURLOf } from "./dataurl.js";
import { remoteOf } from "./files.js";
import { elementID } from "./mapping.js";
import { Moments } from "./moment.js";
import { objectID } from "./names.js";

/** The past of a board, which is shown instead of its present. */
export interface Past {
  /** Whose moments these are: those of another one may have other objects by the same versions. */
  readonly log: object;
  readonly moment: Moment | undefined;
  /** Object id. */
  readonly selected: string | undefined;
  onSelect(object: string | undefined): void;
}

const mostOutlines = 200;
const slack = 5; // px between the pointer and what it points at
const still = 4; // px that a click may move

/** A board as it was, over the board as it is, which goes on underneath. Each begins where the other was looked at. */
export function MomentView({ client, board, live, theme, past }: {
  client: Client; board: Board; live: ExcalidrawImperativeAPI; theme: "light" | "dark"; past: Past;
}): ReactElement {
  const [api, setAPI] = useState<ExcalidrawImperativeAPI>();
  const [ready, setReady] = useState(false);
  const [initial] = useState(() => ({ appState: viewOf(live), files: live.getFiles(), elements: [] }));
  const down = useRef<readonly [x: number, y: number]>(undefined);
  const { moment, selected } = past;

  const moments = useMemo(() => new Moments(), [api, past.log]);
  const images = useMemo(() => api && new Images(client, board, api), [client, board, api]);

  useLayoutEffect(() => {
    if (api === undefined) {
      return undefined;
    }
    if (window.collaboard !== undefined) {
      window.collaboard.moment = api;
    }
    return () => {
      delete window.collaboard?.moment;
      live.updateScene({ appState: viewOf(api) as AppState });
    };
  }, [api, live]);

  useEffect(() => images && (() => images.stop()), [images]);

  useEffect(() => {
    if (!ready || api === undefined || moment === undefined) {
      return undefined;
    }
    const frame = requestAnimationFrame(() => {
      const elements = moments.show(moment.replica, api.getSceneElementsIncludingDeleted());
      api.updateScene({
        ...(elements && { elements }), collaborators: outlines(moment, selected), captureUpdate: CaptureUpdateAction.NEVER,
      });
      images?.look(api.getSceneElements());
    });
    return () => cancelAnimationFrame(frame);
  }, [ready, api, moments, images, moment, selected]);

  const pressed = ({ target, clientX, clientY }: PointerEvent) => {
    down.current = target instanceof HTMLCanvasElement ? [clientX, clientY] : undefined;
  };
  const released = ({ clientX, clientY }: PointerEvent) => {
    const from = down.current;
    down.current = undefined;
    if (api !== undefined && from !== undefined && Math.hypot(clientX - from[0], clientY - from[1]) <= still) {
      const hit = hitAt(api, clientX, clientY);
      past.onSelect(hit && objectID(hit.id));
    }
  };
  return (
    <div className="whiteboard-layer moment" onPointerDownCapture={pressed} onPointerUpCapture={released}>
      <Excalidraw
        excalidrawAPI={setAPI} theme={theme} viewModeEnabled isCollaborating initialData={initial as never}
        onChange={(_, { isLoading }) => !ready && !isLoading && setReady(true)}
        UIOptions={{ canvasActions: { toggleTheme: false } }} aiEnabled={false} validateEmbeddable={false}
      >
        <MainMenu><MainMenu.DefaultItems.SaveAsImage /></MainMenu>
      </Excalidraw>
    </div>
  );
}

function viewOf(api: ExcalidrawImperativeAPI): Partial<AppState> {
  const { scrollX, scrollY, zoom, viewBackgroundColor } = api.getAppState();
  return { scrollX, scrollY, zoom, viewBackgroundColor };
}

/**
 * What the moment's change was about, in the colour of who made it, and what is selected: as if others had selected them,
 * since Excalidraw outlines no arrow that the user has selected where nothing can be changed.
 */
function outlines({ replica, change, objects }: Moment, selected: string | undefined): Map<SocketId, Collaborator> {
  const outline = (id: string, of: readonly string[]): [SocketId, Collaborator] => [id as SocketId, {
    id, socketId: id as SocketId, username: "", color: { background: colorOf(id), stroke: colorOf(id) },
    selectedElementIds: Object.fromEntries(of.slice(0, mostOutlines).flatMap((id) => replica.object(id) ?? [])
      .filter((o) => o.props.containerId?.kind.case !== "stringValue") // the text of what is outlined anyway
      .map((o) => [elementID(o), true as const])),
  }];
  return new Map([
    ...(change === undefined ? [] : [outline(change.from, objects)]),
    ...(selected === undefined ? [] : [outline("selected", [selected])]),
  ]);
}

/** Of the elements at a point of the window the smallest: others would hide it for good. */
function hitAt(api: ExcalidrawImperativeAPI, clientX: number, clientY: number): ExcalidrawElement | undefined {
  const { scrollX, scrollY, zoom, offsetLeft, offsetTop } = api.getAppState();
  const [x, y] = [(clientX - offsetLeft) / zoom.value - scrollX, (clientY - offsetTop) / zoom.value - scrollY];
  const reach = slack / zoom.value;
  return api.getSceneElements()
    .filter((e) => !(e.type === "text" && e.containerId !== null))
    .filter((e) => elementPartiallyOverlapsWithOrContainsBBox(e, [x - reach, y - reach, x + reach, y + reach]))
    .reduce<ExcalidrawElement | undefined>((least, e) => (least === undefined || areaOf(e) <= areaOf(least) ? e : least), undefined);
}

function areaOf({ width, height }: ExcalidrawElement): number {
  return Math.max(Math.abs(width), 1) * Math.max(Math.abs(height), 1);
}

/** Fetches the files of images that the board has no more, one at a time. */
class Images {
  readonly #asked = new Set<string>();
  #queue: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(readonly client: Client, readonly board: Board, readonly api: ExcalidrawImperativeAPI) {}

  look(elements: readonly ExcalidrawElement[]): void {
    const known = this.api.getFiles();
    for (const element of elements) {
      const { fileId, fileSha256 } = element as { fileId?: string; fileSha256?: string };
      if (element.type === "image" && fileId && fileSha256 && known[fileId] === undefined && !this.#asked.has(fileId)) {
        this.#asked.add(fileId);
        this.#queue = this.#queue.then(() => this.#fetch(fileId, fileSha256)).catch(() => {}); // a placeholder does
      }
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #fetch(id: string, sha256: string): Promise<void> {
    if (!this.#stopped) {
      const { content, mediaType } = await remoteOf(this.client, this.board.id).get(sha256);
      this.api.addFiles([{ id, dataURL: dataURLOf(content, mediaType), mimeType: mediaType, created: Date.now() } as unknown as BinaryFileData]);
    }
  }
}
