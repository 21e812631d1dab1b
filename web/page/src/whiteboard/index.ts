export { colorOf } from "./color.js";
export { normalise } from "./normalise.js";
export { thumbnail } from "./thumbnail.js";
export { Whiteboard, type WhiteboardProps } from "./Whiteboard.js";
