import { Excalidraw, MainMenu, restoreElements } from "@excalidraw/excalidraw";
import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import type { Board, Client } from "@collaboard/sdk";
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactElement, type ReactNode } from "react";

import { attach, type Attachment } from "./attach.js";
import type { Fields } from "./fields.js";
import { MomentView, type Past } from "./MomentView.js";
import { objectID } from "./names.js";
import { normalise } from "./normalise.js";
import { pictureID } from "./picture.js";
import { StickyTool } from "./sticky.js";
import "./whiteboard.css";

export interface WhiteboardProps {
  client: Client;
  /** Joined, or joining. */
  board: Board;
  theme: "light" | "dark";
  readOnly: boolean;
  /** The board's. */
  name: string;
  /** The connection id of the member that is followed. */
  following: string | undefined;
  /** undefined also when the user's own pan, zoom or Escape ends it. */
  onFollow(connectionId: string | undefined): void;
  /** There are changes, or files, that were not submitted yet. */
  onSaving(unsent: boolean): void;
  /** Something that a person must be told. */
  onError(message: string): void;
  /** What is shown instead of the board as it is. */
  past?: Past | undefined;
  /** Is put into Excalidraw. */
  children?: ReactNode;
}

export function Whiteboard(props: WhiteboardProps): ReactElement {
  const { client, board, theme, readOnly, name, following, past, children } = props;
  const covered = past !== undefined;
  const [api, setAPI] = useState<ExcalidrawImperativeAPI>();
  const attachment = useRef<Attachment>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useLayoutEffect(() => { // its end comes before that of Excalidraw, which empties the scene
    if (api === undefined) {
      return;
    }
    window.collaboard = { client, board, api, normalise: restoreAndNormalise };
    const attached = attach(api, client, board, {
      onFollow: (id) => latest.current.onFollow(id),
      onSaving: (unsent) => latest.current.onSaving(unsent),
      onError: (message) => latest.current.onError(message),
    });
    attachment.current = attached;
    attached.follow(latest.current.following);
    return () => {
      attached.stop();
      attachment.current = undefined;
      delete window.collaboard;
    };
  }, [api, client, board]);

  useEffect(() => attachment.current?.follow(following), [following]);

  useEffect(() => api?.updateScene({ appState: { name } }), [api, name]); // Excalidraw takes its own only once

  useEffect(() => {
    if (following === undefined) {
      return;
    }
    const escape = (event: KeyboardEvent) => event.key === "Escape" && latest.current.onFollow(undefined);
    window.addEventListener("keydown", escape);
    return () => window.removeEventListener("keydown", escape);
  }, [following]);

  // What the user had selected, which Excalidraw forgets where nothing can be changed.
  const selected = useMemo(() => (covered ? Object.keys(api?.getAppState().selectedElementIds ?? {}) : []), [covered, api]);
  useEffect(() => {
    if (selected.length === 1) {
      latest.current.past?.onSelect(objectID(selected[0]!));
    }
  }, [selected]);

  const present = (
    <Excalidraw
      excalidrawAPI={setAPI}
      theme={theme}
      viewModeEnabled={readOnly || covered}
      name={name}
      isCollaborating
      autoFocus
      handleKeyboardGlobally={!covered}
      aiEnabled={false}
      validateEmbeddable={false}
      UIOptions={{ canvasActions: { toggleTheme: false } }}
      generateIdForFile={async (file) => {
        const id = await pictureID(file);
        attachment.current?.files.named(id, file.name);
        return id;
      }}
      onPointerUpdate={({ pointer, button }) => attachment.current?.presence.point(pointer, button)}
      renderTopRightUI={(isMobile) => (api === undefined || readOnly ? null : <StickyTool api={api} isMobile={isMobile} />)}
    >
      <Menu />
      {children}
    </Excalidraw>
  );
  return (
    <>
      <div className={covered ? "whiteboard-layer covered" : "whiteboard-layer"} inert={covered}>{present}</div>
      {covered && api !== undefined && <MomentView client={client} board={board} live={api} theme={theme} past={past} />}
    </>
  );
}

/** Excalidraw's own has links to elsewhere. */
function Menu(): ReactElement {
  const { LoadScene, Export, SaveAsImage, SearchMenu, Help, ClearCanvas } = MainMenu.DefaultItems;
  return (
    <MainMenu>
      <LoadScene />
      <Export />
      <SaveAsImage />
      <SearchMenu />
      <Help />
      <ClearCanvas />
    </MainMenu>
  );
}

/** What Excalidraw makes of elements when it opens a file, normalised. */
function restoreAndNormalise(elements: readonly ExcalidrawElement[]): Fields[] {
  return normalise(restoreElements(elements, null, { repairBindings: true }));
}

declare global {
  interface Window {
    /** The open board: for the console, and for programs that embed the page. */
    collaboard?: {
      client: Client;
      board: Board;
      api: ExcalidrawImperativeAPI;
      /** Where a moment of the past is shown. */
      moment?: ExcalidrawImperativeAPI;
      /** What of elements everybody sees, and a reload keeps. */
      normalise(elements: readonly ExcalidrawElement[]): Fields[];
    };
  }
}
