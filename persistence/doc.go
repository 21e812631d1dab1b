// Package persistence makes frames durable: the [Store] contract, and the [Committer] that groups the frames of many
// senders into few transactions.
//
// It knows logs, not boards: what a frame means is decided by whoever implements [Log], inside the transaction that
// gives the frame its seq.
package persistence
