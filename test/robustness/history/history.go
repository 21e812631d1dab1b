// Package history is the record of a robustness run: what every client asked for, was told and saw, when, and what the
// database held in the end. It is a file of JSON lines, so that a run can be checked again later, by other checks.
//
// A client that asks does so with the time before it asked; one that is told or sees, with the time after. So whatever
// happened in between happened between the two times, which is what checks of real-time order need.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Kind is what an event tells of.
type Kind string

// What happened to a client. Besides At, Client and Kind each uses the fields that are named.
const (
	// KindSubmit: a durable frame was sent for the first time. Board, Frame, Content; Chained when the client promises
	// that it comes behind all chained frames that it submitted to the board before. Or, with the Note Restore or Revert, a
	// call that appends frames, the last of which is Frame: Want is the seq to which it goes back, or that it takes back.
	KindSubmit Kind = "submit"
	// KindResend: the same frame was sent again. Board, Frame. An SDK resends by itself, and is not asked.
	KindResend Kind = "resend"
	// KindAck: a frame was acked. Board, Frame, Epoch, Seq, Duplicate; Member when it came on a stream that is a member
	// of the board, and among what that member was told.
	KindAck Kind = "ack"
	// KindRefused: a frame was refused. Board, Frame, Code, Retryable.
	KindRefused Kind = "refused"
	// KindJoin: a join was asked for, and begins a membership. Board, Member; Epoch and Seq when from a position.
	KindJoin Kind = "join"
	// KindJoined: it was answered. Board, Member, Mode, Reason, Writable; Epoch and Seq are the position from which
	// events follow; Head, on a join without a position, is as far as the answer showed the board.
	KindJoined Kind = "joined"
	// KindDelivered: a durable frame was received as a member. Board, Member, Frame, Epoch when it is known, Seq, Digest.
	KindDelivered Kind = "delivered"
	// KindParted: the membership has ended. Board, Member.
	KindParted Kind = "parted"
	// KindReplica: the client's own copy of the board. Board, Seq, Digest of its state.
	KindReplica Kind = "replica"
	// KindConnected and KindDisconnected: the stream. Note.
	KindConnected    Kind = "connected"
	KindDisconnected Kind = "disconnected"
)

// Notes of calls.
const (
	Restore = "restore"
	Revert  = "revert"
	Import  = "import"
)

// What the run itself noted.
const (
	// KindRun: how the run was made, the first event. Note.
	KindRun Kind = "run"
	// KindFault: what was broken, or mended. Note.
	KindFault Kind = "fault"
	// KindAway and KindBack: between them some of several servers may have been unable to ask the database.
	KindAway Kind = "away"
	KindBack Kind = "back"
	// KindLog: a frame of the database's log in the end, or Trimmed from its beginning: what is removed is kept aside in the
	// same transaction, by the database itself. Board, Epoch, Seq, Frame, From, Body. A board's are in order.
	KindLog Kind = "log"
	// KindHead: what the database said of a board in the end. Board, Epoch, Seq, Objects. It follows the board's log.
	KindHead Kind = "head"
	// KindSnapshot: the server's snapshot of a board, by GetSnapshot. Board, Epoch, Seq, Digest of its state; Asked; Want
	// where it was asked for as of a seq.
	KindSnapshot Kind = "snapshot"
	// KindFork: a new board that was made of one as of a seq. Board, Want; Digest by Seen of the new one. Or, with the Note
	// Import, of its frames; Digest of its state.
	KindFork Kind = "fork"
)

// Event is one line of a history.
type Event struct {
	At     time.Duration `json:"at"` // since the run began, on the one monotonic clock of the machine
	Kind   Kind          `json:"kind"`
	Client string        `json:"client,omitempty"`
	Asked  time.Duration `json:"asked,omitempty"` // as At, of the question, where no event tells of it

	Board  string `json:"board,omitempty"`
	Member int    `json:"member,omitempty"` // numbers the memberships of a client, from 1
	Frame  string `json:"frame,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
	Seq    uint64 `json:"seq,omitempty"`
	Head   uint64 `json:"head,omitempty"`

	Digest  string `json:"digest,omitempty"`  // of Encode of the frame, or of board.Board.Snapshot
	Content string `json:"content,omitempty"` // digest of the payload as it was sent, where the server must not change it
	From    string `json:"from,omitempty"`
	Body    []byte `json:"body,omitempty"`
	Want    uint64 `json:"want,omitempty"`
	Objects uint64 `json:"objects,omitempty"`

	Chained   bool   `json:"chained,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
	Writable  bool   `json:"writable,omitempty"`
	Trimmed   bool   `json:"trimmed,omitempty"`
	Code      string `json:"code,omitempty"`
	Mode      string `json:"mode,omitempty"`   // RESUMED or SNAPSHOT
	Reason    string `json:"reason,omitempty"` // as in the contract, without its prefix
	Note      string `json:"note,omitempty"`
}

// Writer writes a history. Its methods are safe for concurrent use.
type Writer struct {
	start time.Time

	mu   sync.Mutex
	file *os.File
	buf  *bufio.Writer
	enc  *json.Encoder
	err  error
}

// Create makes the file at path anew, and begins the time of the run.
func Create(path string) (*Writer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := &Writer{start: time.Now(), file: file, buf: bufio.NewWriterSize(file, 1<<20)}
	w.enc = json.NewEncoder(w.buf)
	return w, nil
}

// Now is the time of the run.
func (w *Writer) Now() time.Duration { return time.Since(w.start) }

// Add writes an event. Where At is 0 it is now. What goes wrong is said by Close.
func (w *Writer) Add(e Event) {
	if e.At == 0 {
		e.At = w.Now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.enc.Encode(e)
	}
}

// Close ends the history. Nothing may be added after it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.buf.Flush(), w.file.Close())
}

// Read returns the events of the file at path, in the order in which they were written.
func Read(path string) ([]Event, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []Event
	for dec := json.NewDecoder(bufio.NewReaderSize(file, 1<<20)); ; {
		var e Event
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("history %s, event %d: %w", path, len(events)+1, err)
		}
		events = append(events, e)
	}
}
