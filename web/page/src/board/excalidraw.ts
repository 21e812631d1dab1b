// What is loaded with the whiteboard, and not before.
import "@excalidraw/excalidraw/index.css";

export * from "../whiteboard/index.js";
