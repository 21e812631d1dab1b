// Package client is the Go SDK of Collaboard: boards that several people change at the same time, over one gRPC stream
// that comes back by itself.
//
// # Quick start
//
//	c, err := client.Dial("127.0.0.1:8080", client.WithInsecure(), client.WithUserID("ada"))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//
//	b, err := c.Join(ctx, boardID) // the board as it is now, and every change from here on
//	if err != nil {
//		return err
//	}
//	if _, err := b.Submit(ctx, &collaboardv1.ChatMessage{Text: "hello"}); err != nil {
//		return err
//	}
//	if err := c.Flush(ctx); err != nil { // returns when it is on the server's disk
//		return err
//	}
//	for frame, err := range b.Frames(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(frame.GetSeq(), frame.GetFrom(), frame.GetChatMessage().GetText())
//	}
//
// # What holds
//
//   - A frame is acked when it is durable, and not before: [Pending.Wait] and [Client.Flush] return then.
//   - The frames that one client submits to one board are in its log in the order of [Client.Submit], each once,
//     whatever was refused for a while, resent, or lost with a connection on the way. A frame that is refused for good
//     is left out, and those after it go on.
//   - [Board.Frames] gives every frame of the log once, in order, without gaps, across reconnects. Where the log cannot
//     be followed (it was trimmed, or restored from a backup) it says so with a [*ResyncError].
//   - Once Wait has returned, the replica of a joined board has the frame.
//   - What a server sends that cannot follow from what it sent before (a gap, a position that moves backwards, another
//     epoch) changes nothing: it is logged and counted, and the board is joined anew. See [DesyncError].
//
// Nothing is kept on disk: what was not acked is lost with the process.
//
// # How it works
//
// A [Client] has one goroutine that connects, sends, and waits to connect again; while there is a connection a second
// one receives and a third watches that it is alive. All three end with Close. The state is under one mutex, which is
// never held across a send, a receive or a call to the application. The receiving goroutine never waits for anything,
// so the application may wait for an ack, or do nothing at all, inside of a loop over Frames: what does not fit into a
// bounded buffer is read again from the server's log when its turn comes.
//
// All methods of this package are safe for concurrent use.
package client
