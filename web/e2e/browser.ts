import { chromium, type Browser } from "playwright-core";

/** The system's Chromium. $CHROMIUM names another. */
export const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** It calls nobody but the pages' servers. */
export const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath, args });
}
