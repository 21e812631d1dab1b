export { Board, type BoardEvents, type BoardStatus, type JoinOptions, type Resync, type Unsaved } from "./board.js";
export { Client, type ClientEvents, type Saving, type State } from "./client.js";
export {
  ClosedError, ConnectionError, DesyncError, FlushError, FrameError, LeftError, OutboxFullError, StatusCode, StatusError,
  type Desync,
} from "./errors.js";
export type { Durable, Ephemeral } from "./frames.js";
export { newID } from "./ids.js";
export { formerUsers } from "./keeper.js";
export type { ClientOptions } from "./options.js";
export type { Ack, Pending } from "./outbox.js";
export type { Position } from "./position.js";
export { propsFromJson, propsToJson, Replica, type BoardObject } from "./replica.js";
export type { Locks } from "./store.js";
export type { WebSocketConstructor, WebSocketLike } from "./transport.js";

export * from "./gen/collaboard/v1/board_pb.js";
export * from "./gen/collaboard/v1/board_service_pb.js";
export { ErrorCode, type FieldViolation } from "./gen/collaboard/v1/error_pb.js";
export * from "./gen/collaboard/v1/file_pb.js";
export * from "./gen/collaboard/v1/frame_pb.js";
export * from "./gen/collaboard/v1/object_pb.js";
