package client

// bell wakes everybody who waits for something to change. The mutex that guards what may change guards it too: whoever
// finds nothing calls wait before it unlocks, so that no change is missed. It costs nothing while nobody waits.
type bell struct {
	rung chan struct{} // nil while nobody waits
}

func (b *bell) wait() <-chan struct{} {
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
