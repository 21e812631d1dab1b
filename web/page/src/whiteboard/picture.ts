export const notAPicture = "is not a picture that can be shown";

/**
 * The id of a file that the user puts on a board, as Excalidraw would make it. Throws where no picture can be made of the
 * file: Excalidraw, which does not look, would leave a placeholder.
 */
export async function pictureID(file: File): Promise<string> {
  if (!(await canBeShown(file))) {
    throw new Error(`${file.name || "This"} ${notAPicture}.`);
  }
  const bytes = globalThis.isSecureContext
    ? new Uint8Array(await crypto.subtle.digest("SHA-1", await file.arrayBuffer()))
    : crypto.getRandomValues(new Uint8Array(20)); // no digests there
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function canBeShown(file: File): Promise<boolean> {
  const url = URL.createObjectURL(file);
  try {
    return await new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(true);
      image.onerror = () => resolve(false);
      image.src = url;
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}
