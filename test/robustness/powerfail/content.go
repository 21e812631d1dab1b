package powerfail

import (
	"maps"
	"math"
	"slices"
)

const (
	pageSize       = 4096 // what the kernel writes back
	sectorSize     = 512  // what a disk writes whole
	sectorsPerPage = pageSize / sectorSize
)

type page [pageSize]byte

// content is what is in a file: as processes see it, and as the disk has it. A sync shares pages rather than copying
// the file, and a page that is shared is copied before it is written to.
type content struct {
	live, durable     []*page // nil is a hole, which reads as zeros, as does what is behind the size
	size, durableSize int64   // in bytes
	allocated         int64   // bytes in pages of live

	dirty map[int]struct{} // the pages that a sync has to write, some of them cut off since
	cut   int64            // the smallest size since the last sync that truncation has set; noCut if there was none
}

const noCut = math.MaxInt64

func newContent() content { return content{dirty: map[int]struct{}{}, cut: noCut} }

// pages is how many hold this many bytes.
func pages(size int64) int { return int((size + pageSize - 1) / pageSize) }

func resize(list []*page, n int) []*page {
	if n < len(list) {
		clear(list[n:])
		return list[:n]
	}
	return append(list, make([]*page, n-len(list))...)
}

// read returns a copy of up to n bytes.
func (c *content) read(off int64, n int) []byte {
	if off >= c.size {
		return nil
	}
	data := make([]byte, min(int64(n), c.size-off))
	for rest := data; len(rest) > 0; {
		at := int(off % pageSize)
		n := min(len(rest), pageSize-at)
		if p := c.live[off/pageSize]; p != nil {
			copy(rest[:n], p[at:])
		}
		rest, off = rest[n:], off+int64(n)
	}
	return data
}

// missing is how many bytes would have to be allocated for a write.
func (c *content) missing(off int64, n int) (need int64) {
	for i := int(off / pageSize); i < pages(off+int64(n)); i++ {
		if i >= len(c.live) || c.live[i] == nil {
			need += pageSize
		}
	}
	return need
}

func (c *content) write(off int64, data []byte) {
	if end := off + int64(len(data)); end > c.size {
		c.size = end
		c.live = resize(c.live, pages(end))
	}
	for len(data) > 0 {
		n := copy(c.writable(int(off / pageSize))[off%pageSize:], data)
		data, off = data[n:], off+int64(n)
	}
}

// writable makes a page that may be written to, and dirty.
func (c *content) writable(i int) *page {
	c.dirty[i] = struct{}{}
	p := c.live[i]
	switch {
	case p == nil:
		p = new(page)
		c.allocated += pageSize
	case i < len(c.durable) && c.durable[i] == p:
		p = new(*p)
	}
	c.live[i] = p
	return p
}

func (c *content) truncate(size int64) {
	n := pages(size)
	for i := n; i < len(c.live); i++ {
		if c.live[i] != nil {
			c.allocated -= pageSize
		}
	}
	c.live = resize(c.live, n)
	if size < c.size {
		if rest := size % pageSize; rest != 0 && c.live[n-1] != nil {
			clear(c.writable(n - 1)[rest:])
		}
		c.cut = min(c.cut, size)
	}
	c.size = size
}

// cutDurable does on the disk what truncation did. What was written behind the cut since is dirty.
func (c *content) cutDurable() {
	if c.cut < c.durableSize {
		c.durableSize = c.cut
		c.durable = resize(c.durable, pages(c.cut))
		if rest := c.cut % pageSize; rest != 0 {
			if last := &c.durable[len(c.durable)-1]; *last != nil {
				*last = new(**last)
				clear((*last)[rest:])
			}
		}
	}
	c.cut = noCut
}

func (c *content) sync() {
	c.cutDurable()
	c.durable = resize(c.durable, len(c.live))
	for i := range c.dirty {
		if i < len(c.live) {
			c.durable[i] = c.live[i]
		}
	}
	clear(c.dirty)
	c.durableSize = c.size
}

// failSync takes pages for clean that were not written.
func (c *content) failSync() { clear(c.dirty) }

// crash leaves what is on the disk, and a part of what is on its way there. It returns how many bytes of that were
// dropped and kept.
func (c *content) crash(f fate) (dropped, kept int64) {
	unsynced := slices.Sorted(maps.Keys(c.dirty))
	end := int64(math.MaxInt64) // nothing survives from there on
	if c.cut < c.durableSize {
		if f.survives() {
			c.cutDurable()
		} else {
			end = c.cut
		}
	}
	for _, i := range unsynced {
		if i >= len(c.live) || c.live[i] == nil {
			continue
		}
		var survivors [sectorsPerPage]bool
		if int64(i+1)*pageSize <= end {
			survivors = f.survivingSectors()
		}
		for s, survives := range survivors {
			if !survives {
				dropped += sectorSize
				continue
			}
			kept += sectorSize
			c.writeSector(i, s)
		}
	}
	c.live = slices.Clone(c.durable)
	c.size = c.durableSize
	c.allocated = 0
	for _, p := range c.live {
		if p != nil {
			c.allocated += pageSize
		}
	}
	clear(c.dirty)
	c.cut = noCut
	return dropped, kept
}

// writeSector writes one sector of a live page to the disk.
func (c *content) writeSector(i, sector int) {
	start := int64(i)*pageSize + int64(sector)*sectorSize
	if start >= c.size {
		return
	}
	c.durableSize = max(c.durableSize, min(start+sectorSize, c.size))
	c.durable = resize(c.durable, pages(c.durableSize))
	p := new(page)
	if c.durable[i] != nil {
		*p = *c.durable[i]
	}
	from := sector * sectorSize
	copy(p[from:from+sectorSize], c.live[i][from:])
	c.durable[i] = p
}
