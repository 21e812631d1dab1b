export { StatusCode, StatusError } from "./errors.js";
export type { Position } from "./position.js";
export { propsFromJson, propsToJson, Replica, type BoardObject } from "./replica.js";
export type { WebSocketConstructor, WebSocketLike } from "./transport.js";

export * from "./gen/collaboard/v1/board_pb.js";
export * from "./gen/collaboard/v1/board_service_pb.js";
export { ErrorCode, type FieldViolation } from "./gen/collaboard/v1/error_pb.js";
export * from "./gen/collaboard/v1/frame_pb.js";
export * from "./gen/collaboard/v1/object_pb.js";
