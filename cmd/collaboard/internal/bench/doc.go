// Package bench drives a server as many clients would, and measures how long it takes until a frame is acknowledged and
// until it reaches the members of its board.
//
// The tool shares its machine with what it measures, so it does little for a frame: what is sent was encoded before the
// run and has its id patched in, and of what comes in only the fields are looked at that matter. The id carries the
// time at which the frame was, or should have been, sent; so whoever receives it knows its age.
//
// A closed loop keeps a number of frames in flight, and sends the next when one is answered: it finds the highest
// throughput. An open loop sends on a schedule whatever the server does, and counts latency from the scheduled time, so
// that the frames that a stall held up are counted as late too ("coordinated omission").
package bench
