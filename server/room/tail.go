package room

import "github.com/collaboard-io/collaboard/persistence"

// tail is the end of a log as encoded frames: contiguous, up to the room's head. What it hands out is shared and never
// overwritten: frames are only added behind, and dropped by moving on.
type tail struct {
	records []persistence.Record
	bytes   int
	dropped int // bytes that the backing array still holds in front of records
}

// add appends the records and drops the oldest above the limit, in bytes; the newest always stays.
func (t *tail) add(records []persistence.Record, limit int) {
	t.records = append(t.records, records...)
	for _, r := range records {
		t.bytes += len(r.Body)
	}
	for t.bytes > limit && len(t.records) > 1 {
		t.bytes -= len(t.records[0].Body)
		t.dropped += len(t.records[0].Body)
		t.records = t.records[1:]
	}
	if t.dropped > limit {
		// As many again come before the next time: there is room for them.
		t.records = append(make([]persistence.Record, 0, 2*len(t.records)), t.records...)
		t.dropped = 0
	}
}

// after returns frames that follow seq, up to maxBytes of them but one at the least; head is the log's head. It
// reports false when the tail begins too late.
func (t *tail) after(seq, head persistence.Seq, maxBytes int) ([]persistence.Record, bool) {
	if seq >= head {
		return nil, true
	}
	if len(t.records) == 0 || t.records[0].Seq > seq+1 {
		return nil, false
	}
	rest := t.records[seq+1-t.records[0].Seq:]
	n, bytes := 0, 0
	for n < len(rest) && (n == 0 || bytes+len(rest[n].Body) <= maxBytes) {
		bytes += len(rest[n].Body)
		n++
	}
	return rest[:n:n], true
}
