/** What a data: URL holds. It is not fetched: a page's content security policy may forbid that. */
export function bytesOf(url: string): { content: Uint8Array<ArrayBuffer>; mediaType: string } {
  const match = /^data:([^;,]*)((?:;[^;,]*)*),/.exec(url);
  if (match === null) {
    return { content: new Uint8Array(), mediaType: "" };
  }
  const body = url.slice(match[0].length);
  const content = /;base64$/i.test(match[2]!)
    ? Uint8Array.from(atob(body), (c) => c.charCodeAt(0))
    : new TextEncoder().encode(decodeURIComponent(body));
  return { content, mediaType: match[1]!.toLowerCase() };
}

const chunk = 0x8000; // arguments of one call

export function dataURLOf(content: Uint8Array, mediaType: string): string {
  let binary = "";
  for (let at = 0; at < content.length; at += chunk) {
    binary += String.fromCharCode(...content.subarray(at, at + chunk));
  }
  return `data:${mediaType};base64,${btoa(binary)}`;
}
