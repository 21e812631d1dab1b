import { Excalidraw } from "@excalidraw/excalidraw";
import "@excalidraw/excalidraw/index.css";
import type { Board, Client, Member } from "@collaboard/sdk";
import type { ReactElement, ReactNode } from "react";

export interface WhiteboardProps {
  client: Client;
  board: Board;
  theme: "light" | "dark";
  readOnly: boolean;
  name: string;
  following: string | undefined;
  onFollow(connectionId: string | undefined): void;
  onSaving(unsent: boolean): void;
  onError(message: string): void;
  children?: ReactNode;
}

export function Whiteboard(props: WhiteboardProps): ReactElement {
  return <Excalidraw theme={props.theme} viewModeEnabled={props.readOnly} name={props.name}>{props.children}</Excalidraw>;
}

export async function thumbnail(_objects: Iterable<unknown>, _theme: "light" | "dark"): Promise<string | undefined> {
  return undefined;
}

export function colorOf(member: Member | string): string {
  const id = typeof member === "string" ? member : member.userId;
  return `hsl(${[...id].reduce((h, c) => (h * 31 + c.charCodeAt(0)) % 360, 7)} 60% 70%)`;
}
