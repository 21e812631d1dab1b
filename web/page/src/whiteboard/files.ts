import type { BinaryFileData, BinaryFiles, DataURL } from "@excalidraw/excalidraw/types";
import type { ExcalidrawElement, FileId } from "@excalidraw/excalidraw/element/types";
import { BoardService, StatusCode, StatusError, type Client } from "@collaboard/sdk";

import { explain } from "../errors.js";
import { bytesOf, dataURLOf } from "./dataurl.js";
import type { Fields, Patch } from "./fields.js";
import type { FileStore } from "./filestore.js";
import { notAPicture } from "./picture.js";

/** The server's side: the files of one board. */
export interface Remote {
  upload(content: Uint8Array, mediaType: string): Promise<{ readonly sha256: string }>;
  get(sha256: string): Promise<{ content: Uint8Array; mediaType: string }>;
}

export function remoteOf(client: Client, boardId: string): Remote {
  return {
    upload: (content, mediaType) => client.call(BoardService.method.uploadFile, { boardId, content, mediaType }),
    get: async (sha256) => {
      const pieces = await client.callAll(BoardService.method.getFile, { boardId, sha256 });
      const content = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.content.length, 0));
      let at = 0;
      for (const piece of pieces) {
        content.set(piece.content, at);
        at += piece.content.length;
      }
      return { content, mediaType: pieces[0]?.file?.mediaType ?? "" };
    },
  };
}

export interface FilesHooks {
  /** Excalidraw's files. */
  known(): BinaryFiles;
  add(files: BinaryFileData[]): void;
  /** The file of these elements is on the server: resolves when that is sure to become known. */
  uploaded(elementIDs: readonly string[], patch: Patch): Promise<void>;
  /** The file of these elements will never be on the server: they are to go, for everybody. */
  takeBack(elementIDs: readonly string[]): void;
  /** Files are on their way to the server, or none is. */
  busy(busy: boolean): void;
  error(message: string): void;
}

const maxFetches = 4;
const maxUploads = 2;
const maxBytes = 4 << 20;
const shortestPause = 500;
const longestPause = 30_000;
const maxFetchTries = 8;
const maxTakeBacks = 20; // of one element

/** What is known of one of Excalidraw's files. */
interface Known {
  name?: string; // the user's
  sha256?: string;
  mediaType?: string;
  upload?: "stored" | "waits" | "runs" | "refused";
  fetch?: "waits" | "runs" | "done" | "failed";
  tries: number;
  notBefore: number;
}

/**
 * The bytes of images. They are not in frames: an image's object names its file by its SHA-256, which it gets once the
 * file is on the server. Until then the bytes are kept in the browser, and after a reload they are uploaded from there.
 * Nothing waits for that: a browser's store can take any time to open.
 */
export class Files {
  readonly #files = new Map<string, Known>(); // by Excalidraw's id
  readonly #takenBack = new Map<string, { times: number; gone: boolean }>(); // by element id
  #elements: readonly ExcalidrawElement[] = [];
  #busy = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly remote: Remote, readonly store: FileStore, readonly hooks: FilesHooks) {
    void store.all().catch(() => []).then((files) => {
      if (this.#stopped) {
        return;
      }
      for (const { id } of files) {
        const file = this.#files.get(id);
        this.#files.set(id, { tries: 0, notBefore: 0, ...file, upload: file?.upload ?? "stored" });
      }
      this.hooks.add(files);
      this.#work();
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Says what the user calls a file. */
  named(id: string, name: string): void {
    this.#files.set(id, { tries: 0, notBefore: 0, ...this.#files.get(id), name });
  }

  /** What to send along with an image: where its file is, if that is known. */
  attachment(fields: Fields): Patch | undefined {
    const file = typeof fields.fileId === "string" ? this.#files.get(fields.fileId) : undefined;
    return file?.sha256 === undefined || fields.fileSha256 !== undefined ? undefined
      : { fileSha256: file.sha256, fileMediaType: file.mediaType ?? "" };
  }

  /** All of the board is in the scene: what is kept for nothing can go. */
  arrived(): void {
    void this.store.clean(new Set(this.#images().keys())).catch(() => {});
  }

  /** Looks at the scene: what is to be fetched or uploaded? */
  look(elements: readonly ExcalidrawElement[]): void {
    this.#elements = elements;
    for (const { id, isDeleted } of this.#takenBack.size > 0 ? elements : []) {
      const taken = this.#takenBack.get(id);
      if (taken !== undefined && isDeleted) {
        taken.gone = true;
      }
    }
    this.#work();
  }

  #images(): Map<string, (ExcalidrawElement & { fileId: FileId; fileSha256?: string })[]> {
    const images = new Map<string, (ExcalidrawElement & { fileId: FileId; fileSha256?: string })[]>();
    for (const element of this.#elements) {
      if (element.type === "image" && element.fileId !== null && !element.isDeleted) {
        const of = images.get(element.fileId) ?? [];
        images.set(element.fileId, [...of, element as (typeof of)[number]]);
      }
    }
    return images;
  }

  #work(): void {
    if (this.#stopped) {
      return;
    }
    const now = performance.now();
    const here = this.hooks.known();
    const images = this.#images();
    for (const [id, elements] of images) {
      const file = this.#files.get(id) ?? { tries: 0, notBefore: 0 };
      this.#files.set(id, file);
      if (file.upload === "refused") {
        this.#takeBack(elements.filter((e) => e.fileSha256 === undefined));
      }
      const named = elements.find((e) => typeof e.fileSha256 === "string");
      if (named?.fileSha256 !== undefined) {
        file.sha256 ??= named.fileSha256;
        if (file.upload === "stored") {
          delete file.upload; // an earlier page had got that far
          void this.store.remove(id).catch(() => {});
        }
      }
      if (here[id] === undefined) {
        if (file.sha256 !== undefined) {
          file.fetch ??= "waits";
        }
      } else if (file.sha256 === undefined) {
        if (file.upload === undefined) {
          void this.store.put(here[id]).catch(() => {}); // it is uploaded all the same
        }
        if (file.upload === undefined || file.upload === "stored") {
          file.upload = "waits";
        }
      }
    }
    let next = Infinity;
    const count = (which: "fetch" | "upload") => [...this.#files.values()].filter((f) => f[which] === "runs").length;
    let [fetches, uploads] = [count("fetch"), count("upload")];
    for (const [id, file] of this.#files) {
      if (file.fetch !== "waits" && file.upload !== "waits") {
        continue;
      }
      if (file.notBefore > now) {
        next = Math.min(next, file.notBefore);
      } else if (file.upload === "waits" && here[id] !== undefined && uploads < maxUploads) {
        uploads++;
        void this.#upload(file, here[id]);
      } else if (file.fetch === "waits" && fetches < maxFetches) {
        fetches++;
        void this.#fetch(file, id);
      }
    }
    clearTimeout(this.#timer);
    if (next < Infinity) {
      this.#timer = setTimeout(() => this.#work(), next - now);
    }
    this.#tell();
  }

  async #upload(file: Known, data: BinaryFileData): Promise<void> {
    file.upload = "runs";
    const { content, mediaType } = bytesOf(data.dataURL);
    try {
      if (content.length === 0 || content.length > maxBytes) {
        throw new Unkeepable(content.length === 0 ? notAPicture : `is too large: at most ${maxBytes >> 20} MB can be kept`);
      }
      const { sha256 } = await this.remote.upload(content, mediaType || data.mimeType);
      file.sha256 = sha256;
      file.mediaType = mediaType || data.mimeType;
      const elements = (this.#images().get(data.id) ?? []).filter((e) => e.fileSha256 === undefined);
      await this.hooks.uploaded(elements.map((e) => e.id), { fileSha256: sha256, fileMediaType: file.mediaType });
      void this.store.remove(data.id).catch(() => {});
      delete file.upload;
      file.tries = 0;
    } catch (error) {
      if (isFinal(error)) {
        file.upload = "refused";
        this.hooks.error(refusal(file.name ?? "An image", error));
        void this.store.remove(data.id).catch(() => {}); // #work takes its elements back
      } else {
        file.upload = "waits";
        this.#later(file);
      }
    }
    this.#work();
  }

  async #fetch(file: Known, id: string): Promise<void> {
    file.fetch = "runs";
    try {
      const { content, mediaType } = await this.remote.get(file.sha256!);
      if (this.#stopped) {
        return;
      }
      file.fetch = "done";
      file.mediaType = mediaType;
      this.hooks.add([{
        id: id as FileId, mimeType: mediaType as BinaryFileData["mimeType"],
        dataURL: dataURLOf(content, mediaType) as DataURL, created: Date.now(),
      }]);
    } catch (error) {
      if (isFinal(error) || ++file.tries >= maxFetchTries) {
        file.fetch = "failed";
        this.hooks.error("An image could not be loaded.");
      } else {
        file.fetch = "waits";
        this.#later(file);
      }
    }
    this.#work();
  }

  /** Again where redo has brought one back, but not for ever: it may be the server that does not let it go. */
  #takeBack(elements: readonly ExcalidrawElement[]): void {
    const ids = elements.map((e) => e.id).filter((id) => {
      const { times, gone } = this.#takenBack.get(id) ?? { times: 0, gone: true };
      return gone && times < maxTakeBacks;
    });
    if (ids.length > 0) {
      ids.forEach((id) => this.#takenBack.set(id, { times: (this.#takenBack.get(id)?.times ?? 0) + 1, gone: false }));
      this.hooks.takeBack(ids);
    }
  }

  #later(file: Known): void {
    const pause = Math.min(shortestPause * 2 ** file.tries, longestPause);
    file.tries = Math.min(file.tries + 1, 16);
    file.notBefore = performance.now() + pause * (0.5 + Math.random() / 2);
  }

  #tell(): void {
    const busy = [...this.#files.values()].some((f) => f.upload === "waits" || f.upload === "runs");
    if (busy !== this.#busy) {
      this.#busy = busy;
      this.hooks.busy(busy);
    }
  }
}

/** What is wrong with a file, as the end of a sentence. */
class Unkeepable extends Error {}

/** Why a file is not kept. */
function refusal(name: string, error: unknown): string {
  if (error instanceof Unkeepable) {
    return `${name} ${error.message}.`;
  }
  switch (error instanceof StatusError ? error.code : undefined) {
    case StatusCode.InvalidArgument:
      return `${name} ${notAPicture}.`;
    case StatusCode.FailedPrecondition:
      return `${name} could not be kept: this board has no room for more images.`;
    default:
      return `${name} could not be kept. ${explain(error)}`;
  }
}

/** Whether it would be the same another time. */
function isFinal(error: unknown): boolean {
  return error instanceof Unkeepable || error instanceof StatusError
    && [StatusCode.InvalidArgument, StatusCode.NotFound, StatusCode.PermissionDenied, StatusCode.FailedPrecondition]
      .some((code) => code === error.code);
}
