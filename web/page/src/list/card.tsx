import type { Client } from "@collaboard/sdk";
import { useEffect, useRef, useState, type ReactElement } from "react";

import type { BoardInfo } from "../board-edits.js";
import { nameOf } from "../names.js";
import { boardPath, Link } from "../route.js";
import { useTheme } from "../theme.js";
import { CopyDialog, useCopyLink } from "../ui/copy-link.js";
import { EditField, useEditing, type Draft } from "../ui/editable.js";
import { LinkIcon, MoreIcon, PencilIcon, TrashIcon } from "../ui/icons.js";
import { Menu } from "../ui/menu.js";
import { ago, dateOf } from "../time.js";
import type { User } from "../user.js";
import { thumbnailOf } from "./thumbnails.js";

/** One board of the list. */
export function Card({ client, board, user, draft, onRename, onCancel, onDelete }: {
  client: Client; board: BoardInfo; user: User; draft: Draft | undefined;
  onRename: (name: string) => void; onCancel: () => void; onDelete: () => void;
}): ReactElement {
  const editing = useEditing(draft);
  const copy = useCopyLink(board.id);
  const owner = board.owner === user.id ? "you" : nameOf(board.owner);
  const changed = board.updatedAt && dateOf(board.updatedAt);
  return (
    <li className="card">
      <Thumbnail client={client} board={board} />
      <div className="card-text">
        {editing.field !== undefined
          ? <EditField label="Name of the board" value={board.name} editing={editing} onChange={onRename} onCancel={onCancel} />
          : <Link ref={editing.shown} className="card-name" href={boardPath(board.id)} title={board.name}>{board.name}</Link>}
        <div className="card-facts">
          {changed && <time dateTime={changed.toISOString()} title={changed.toLocaleString()}>Changed {ago(changed)}</time>}
          {owner !== undefined && <span> · by {owner}</span>}
        </div>
      </div>
      <Menu
        label={`Menu of ${board.name}`} button={<MoreIcon />}
        items={[
          { label: "Rename", icon: <PencilIcon />, run: editing.begin },
          { label: "Copy link", icon: <LinkIcon />, run: copy.run },
          { label: "Delete", icon: <TrashIcon />, danger: true, run: onDelete },
        ]}
      />
      {copy.shown !== undefined && <CopyDialog link={copy.shown} onClose={copy.close} />}
    </li>
  );
}

/** What is on the board, made when it comes into view. */
function Thumbnail({ client, board }: { client: Client; board: BoardInfo }): ReactElement {
  const ref = useRef<HTMLDivElement>(null);
  const [svg, setSvg] = useState<string>();
  const url = usePicture(svg);
  useEffect(() => {
    const stop = new AbortController();
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting !== true) {
        return;
      }
      observer.disconnect();
      thumbnailOf(client, board, stop.signal).then((made) => {
        if (!stop.signal.aborted) {
          setSvg(made);
        }
      }, () => {}); // without one the card does its work too
    }, { rootMargin: "200px" });
    observer.observe(ref.current!);
    return () => {
      stop.abort();
      observer.disconnect();
    };
  }, [client, board.id, board.headSeq]);
  return <div ref={ref} className="card-picture">{url !== undefined && <img src={url} alt="" />}</div>;
}

const invert = "invert(100%) hue-rotate(180deg) saturate(1.25)"; // as Excalidraw does

/** The address of a picture. The style makes it dark as a whole: its images are turned round before, so that they stay. */
function usePicture(svg: string | undefined): string | undefined {
  const dark = useTheme() === "dark";
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (svg === undefined) {
      return undefined;
    }
    const text = dark ? svg.replaceAll("<image ", `<image filter="${invert}" `) : svg;
    const made = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    setUrl(made);
    return () => {
      setUrl(undefined);
      URL.revokeObjectURL(made);
    };
  }, [svg, dark]);
  return url;
}
