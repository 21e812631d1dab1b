import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import type { BinaryFileData, BinaryFiles } from "@excalidraw/excalidraw/types";
import type { ExcalidrawElement } from "@excalidraw/excalidraw/element/types";
import { StatusCode, StatusError } from "@collaboard/sdk";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { bytesOf, dataURLOf } from "../../src/whiteboard/dataurl.js";
import type { Patch } from "../../src/whiteboard/fields.js";
import { Files, type Remote } from "../../src/whiteboard/files.js";
import { FileStore } from "../../src/whiteboard/filestore.js";
import { element } from "./elements.js";

globalThis.IDBKeyRange = IDBKeyRange;

/** The server's files, which can be made to fail. */
class FakeRemote implements Remote {
  readonly files = new Map<string, Uint8Array>();
  readonly fails: Error[] = []; // one for each of the next calls
  uploads = 0;
  fetching = 0;
  most = 0; // at a time

  async upload(content: Uint8Array): Promise<{ sha256: string }> {
    this.uploads++;
    await this.#call();
    const sha256 = `sha-${new TextDecoder().decode(content)}`;
    this.files.set(sha256, content);
    return { sha256 };
  }

  async get(sha256: string): Promise<{ content: Uint8Array; mediaType: string }> {
    this.most = Math.max(this.most, ++this.fetching);
    await this.#call();
    this.fetching--;
    const content = this.files.get(sha256);
    if (content === undefined) {
      throw new StatusError(StatusCode.NotFound, "no such file");
    }
    return { content, mediaType: "image/png" };
  }

  async #call(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const error = this.fails.shift();
    if (error !== undefined) {
      throw error;
    }
  }
}

/** A page with a board's images. */
class Page {
  readonly errors: string[] = [];
  readonly busy: boolean[] = [];
  readonly takenBack: string[] = [];
  readonly known: BinaryFiles = {};
  readonly files: Files;
  list: ExcalidrawElement[] = [];

  constructor(readonly remote: FakeRemote, readonly store: FileStore) {
    this.files = new Files(remote, store, {
      known: () => this.known,
      add: (added) => {
        added.forEach((file) => (this.known[file.id] = file));
        this.files?.look(this.list);
      },
      uploaded: async (ids: readonly string[], patch: Patch) => {
        this.list = this.list.map((e) => (ids.includes(e.id) ? { ...e, ...patch } as ExcalidrawElement : e));
      },
      takeBack: (ids) => {
        this.takenBack.push(...ids);
        this.list = this.list.map((e) => (ids.includes(e.id) ? { ...e, isDeleted: true } : e));
        this.files.look(this.list);
      },
      busy: (busy) => this.busy.push(busy),
      error: (message) => this.errors.push(message),
    });
  }

  show(...elements: ExcalidrawElement[]): void {
    this.list = [...this.list, ...elements];
    this.files.look(this.list);
  }

  /** Puts an image into the scene as Excalidraw does: the bytes first. */
  insert(id: string, content: string): void {
    this.known[id] = fileOf(id, content);
    this.show(element("image", { id: `e-${id}`, fileId: id }));
  }
}

function fileOf(id: string, content: string): BinaryFileData {
  const dataURL = dataURLOf(new TextEncoder().encode(content), "image/png");
  return { id, dataURL, mimeType: "image/png", created: 1 } as BinaryFileData;
}

let db: IDBFactory;
let remote: FakeRemote;
const pages: Page[] = [];

function open(board = "board"): Page {
  const page = new Page(remote, new FileStore(board, db));
  pages.push(page);
  return page;
}

beforeEach(() => {
  db = new IDBFactory();
  remote = new FakeRemote();
});

afterEach(() => pages.splice(0).forEach((page) => page.files.stop()));

const unavailable = () => new StatusError(StatusCode.Unavailable, "later");

describe("the bytes of an image", () => {
  test("are uploaded, and the elements say where they are", async () => {
    const page = open();
    page.insert("f", "one");
    page.show(element("image", { id: "second", fileId: "f" }));
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]));
    expect(page.list.map((e) => (e as { fileSha256?: string }).fileSha256)).toEqual(["sha-one", "sha-one"]);
    expect(remote.uploads).toBe(1);
    expect(await page.store.all()).toEqual([]);
    expect(page.files.attachment({ type: "image", fileId: "f" })).toEqual({ fileSha256: "sha-one", fileMediaType: "image/png" });
  });

  test("are kept for as long as the board names them, and others for a month", async () => {
    const store = new FileStore("board", db);
    const kept = async () => (await store.all()).map(({ id }) => id);
    const now = vi.spyOn(Date, "now").mockReturnValue(0); // long ago, or by a clock that was wrong
    await Promise.all(["named", "unnamed"].map((id) => store.put(fileOf(id, id))));
    now.mockRestore();
    await store.put(fileOf("new", "new"));
    await store.clean(new Set(["named"]));
    expect(await kept()).toEqual(["named", "new"]);
    const page = open();
    page.show(element("image", { id: "e", fileId: "named" }));
    page.files.arrived();
    await vi.waitFor(async () => expect(await kept()).toEqual(["new"]));
    expect([...remote.files.keys()]).toEqual(["sha-named"]);
  });

  test("are uploaded even where the browser's store does not open, and are not saved before", async () => {
    class Stuck extends IDBFactory {
      override open() {
        return {} as ReturnType<IDBFactory["open"]>;
      }
    }
    db = new Stuck();
    const page = open();
    page.insert("f", "one");
    expect(page.busy).toEqual([true]);
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]));
    expect([remote.uploads, page.list.map((e) => (e as { fileSha256?: string }).fileSha256)]).toEqual([1, ["sha-one"]]);
  });

  test("do not keep their store from being deleted", async () => {
    const page = open();
    await page.store.all();
    await new Promise<void>((resolve, reject) => {
      const request = db.deleteDatabase("collaboard-files");
      request.onsuccess = () => resolve();
      request.onblocked = () => reject(new Error("blocked"));
    });
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]));
  });

  test("are uploaded again where that failed for now", async () => {
    const page = open();
    remote.fails.push(unavailable());
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]), { timeout: 5000 });
    expect([remote.uploads, page.errors]).toEqual([2, []]);
  });

  test("that are refused for good are not uploaded again; their elements go, and the person is told why", async () => {
    const page = open();
    remote.fails.push(new StatusError(StatusCode.InvalidArgument, "media_type: the content is not of this type"));
    page.files.named("f", "cat.png");
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]));
    page.show(element("image", { id: "copy", fileId: "f" }));
    expect([remote.uploads, page.errors]).toEqual([1, ["cat.png is not a picture that can be shown."]]);
    expect(page.takenBack).toEqual(["e-f", "copy"]);
  });

  test("that are refused go again when redo brings them back, but no more often than a person would do that", async () => {
    const page = open();
    remote.fails.push(new StatusError(StatusCode.InvalidArgument, "media_type"));
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.takenBack).toEqual(["e-f"]), { timeout: 10_000 });
    const redo = () => {
      page.list = [];
      page.show(element("image", { id: "e-f", fileId: "f" }));
    };
    redo();
    expect([page.list[0]!.isDeleted, page.takenBack]).toEqual([true, ["e-f", "e-f"]]);
    page.files.look(page.list);
    expect(page.takenBack).toHaveLength(2);
    Array.from({ length: 100 }, redo); // or the server does not let it go
    expect(page.takenBack).toHaveLength(20);
    expect(remote.uploads).toBe(1);
  });

  test("for which the board has no room are not uploaded again; their elements go, and the person is told once", async () => {
    const page = open();
    remote.fails.push(new StatusError(StatusCode.FailedPrecondition, "a board may have 1 files of 199 bytes together"));
    page.files.named("f", "cat.png");
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]));
    expect(page.errors).toEqual(["cat.png could not be kept: this board has no room for more images."]);
    expect([remote.uploads, page.takenBack, await page.store.all()]).toEqual([1, ["e-f"], []]);
  });

  test("that the server is too busy for are uploaded later", async () => {
    const page = open();
    remote.fails.push(new StatusError(StatusCode.ResourceExhausted, "the server stores as many files as it can at a time"));
    page.insert("f", "one");
    await vi.waitFor(() => expect(page.busy).toEqual([true, false]), { timeout: 5000 });
    expect([remote.uploads, page.errors, page.takenBack]).toEqual([2, [], []]);
  });

  test("that are too large are not uploaded, and their elements go", async () => {
    const page = open();
    page.insert("f", "x".repeat((4 << 20) + 1));
    await vi.waitFor(() => expect(page.takenBack).toEqual(["e-f"]), { timeout: 10_000 });
    expect([remote.uploads, page.errors]).toEqual([0, ["An image is too large: at most 4 MB can be kept."]]);
  });

  test("survive the page, and are uploaded by the next one", async () => {
    const before = open();
    remote.fails.push(unavailable());
    before.insert("f", "one");
    await vi.waitFor(async () => expect(await before.store.all()).toHaveLength(1));
    before.files.stop();
    await before.store.close();

    const after = open();
    after.show(element("image", { id: "e-f", fileId: "f" }));
    await vi.waitFor(() => expect(after.busy).toEqual([true, false]));
    expect(after.known.f?.dataURL).toBe(fileOf("f", "one").dataURL);
    expect([...remote.files.keys()]).toEqual(["sha-one"]);
    expect(await after.store.all()).toEqual([]);
  });

  test("that were left behind by a page that got them to the server are forgotten", async () => {
    const store = new FileStore("board", db);
    await store.put(fileOf("f", "one"));
    const page = open();
    page.show(element("image", { id: "e", fileId: "f", fileSha256: "sha-one" }));
    await vi.waitFor(async () => expect(await store.all()).toEqual([]));
    expect(remote.uploads).toBe(0);
  });

  test("are fetched, four at a time at most, once each, and not those of what is deleted", async () => {
    const page = open();
    const ids = Array.from({ length: 20 }, (_, i) => String(i));
    ids.forEach((id) => remote.files.set(`sha-${id}`, new TextEncoder().encode(id)));
    const image = (id: string, isDeleted = false) =>
      element("image", { id: `e${id}${isDeleted}`, fileId: id, fileSha256: `sha-${id}`, isDeleted });
    page.show(...ids.map((id) => image(id)), ...ids.map((id) => image(id)), image("20", true));
    await vi.waitFor(() => expect(Object.keys(page.known)).toHaveLength(20));
    expect(remote.most).toBe(4);
    expect(page.known["7"]).toMatchObject({ id: "7", mimeType: "image/png", dataURL: fileOf("7", "7").dataURL });
  });

  test("are fetched again where that failed for now, and not where they are gone", async () => {
    const page = open();
    remote.files.set("sha-a", new TextEncoder().encode("a"));
    remote.fails.push(unavailable());
    page.show(element("image", { id: "e", fileId: "a", fileSha256: "sha-a" }));
    await vi.waitFor(() => expect(Object.keys(page.known)).toEqual(["a"]), { timeout: 5000 });
    page.show(element("image", { id: "g", fileId: "gone", fileSha256: "sha-gone" }));
    await vi.waitFor(() => expect(page.errors).toHaveLength(1));
  });
});

test("a store has a file for its board only", async () => {
  const [one, other] = [new FileStore("one", db), new FileStore("other", db)];
  await one.put(fileOf("f", "1"));
  await other.put(fileOf("f", "2"));
  expect(await one.all()).toEqual([fileOf("f", "1")]);
  await one.remove("f");
  expect([await one.all(), await other.all()]).toEqual([[], [fileOf("f", "2")]]);
});

test.each([
  ["data:image/png;base64,AQID", [1, 2, 3], "image/png"],
  ["data:image/svg+xml;charset=utf-8,%3Csvg%3E%C3%A4", [0x3c, 0x73, 0x76, 0x67, 0x3e, 0xc3, 0xa4], "image/svg+xml"],
  ["data:,a", [0x61], ""],
  ["https://example.org/a.png", [], ""],
])("what %s holds", (url, bytes, mediaType) => {
  expect([...bytesOf(url).content]).toEqual(bytes);
  expect(bytesOf(url).mediaType).toBe(mediaType);
});

test("a data URL holds what it was made of, however much", () => {
  const content = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
  const back = bytesOf(dataURLOf(content, "image/webp"));
  expect(Buffer.compare(back.content, content)).toBe(0);
  expect(back.mediaType).toBe("image/webp");
});
