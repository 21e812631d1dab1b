export { colorOf } from "./color.js";
export type { Past } from "./MomentView.js";
export { normalise } from "./normalise.js";
export { thumbnail } from "./thumbnail.js";
export { Whiteboard, type WhiteboardProps } from "./Whiteboard.js";
