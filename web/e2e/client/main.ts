import { Client } from "@collaboard/sdk";
import * as scenario from "./scenario.ts";
import { sdk } from "./sdk.ts";
import { stock } from "./stock.ts";

// For the tests, which run this page.
const page = { scenario, drivers: { sdk, stock }, Client };
Object.assign(window, page);

declare global {
  interface Window extends Readonly<typeof page> {}
}
