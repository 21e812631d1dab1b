package powerfail

import (
	"maps"
	"slices"
	"time"
)

// inode is a file or a directory.
type inode struct {
	id            uint64
	mode          uint32 // with the type
	uid, gid      uint32
	mtime         time.Time
	content       content
	live, durable map[string]*inode // of a directory

	names   int    // in live directories
	lookups uint64 // how often the kernel has heard of it, and not forgotten it
}

// tree holds the names, as processes see them and as the disk has them.
type tree struct {
	root    *inode
	nodes   map[uint64]*inode // those with a name, and those that the kernel knows
	lastID  uint64
	journal []change // oldest first: what the disk does not have yet
}

// change is what one system call did to names: all of it is on the disk or nothing.
type change []entry

// entry is that a name in dir means node now (nil: nothing), and what it meant before.
type entry struct {
	dir       *inode
	name      string
	node, was *inode
}

func (c change) concerns(n *inode) bool {
	return slices.ContainsFunc(c, func(e entry) bool { return e.dir == n || e.node == n || e.was == n })
}

func newTree() tree {
	t := tree{nodes: map[uint64]*inode{}}
	t.root = t.newInode(dirMode|0o755, 0, 0)
	t.root.names = 1
	return t
}

// dirMode is S_IFDIR, which has the same value wherever there is FUSE.
const (
	typeMask = 0o170000
	dirMode  = 0o040000
	fileMode = 0o100000
)

func (n *inode) isDir() bool { return n.mode&typeMask == dirMode }

// newInode makes one that has no name yet. The first has the id 1, as FUSE wants it of the root.
func (t *tree) newInode(mode, uid, gid uint32) *inode {
	t.lastID++
	n := &inode{id: t.lastID, mode: mode, uid: uid, gid: gid, mtime: time.Now(), content: newContent()}
	if n.isDir() {
		n.live, n.durable = map[string]*inode{}, map[string]*inode{}
	}
	t.nodes[n.id] = n
	return n
}

// do makes a change for processes, and leaves it to a sync to make it durable.
func (t *tree) do(c change) {
	for i := range c {
		e := &c[i]
		e.was = e.dir.live[e.name]
		set(e.dir.live, e.name, e.node)
		e.dir.mtime = time.Now()
		if e.node != nil {
			e.node.names++
		}
		if e.was != nil {
			e.was.names--
		}
	}
	t.journal = append(t.journal, c)
}

func set(names map[string]*inode, name string, n *inode) {
	if n == nil {
		delete(names, name)
	} else {
		names[name] = n
	}
}

// sync makes durable whatever happened up to the last change that concerns n.
func (t *tree) sync(n *inode) {
	for i, c := range slices.Backward(t.journal) {
		if c.concerns(n) {
			t.commit(i + 1)
			return
		}
	}
}

// commit makes the first n changes of the journal durable.
func (t *tree) commit(n int) {
	for _, c := range t.journal[:n] {
		for _, e := range c {
			set(e.dir.durable, e.name, e.node)
		}
	}
	t.journal = slices.Delete(t.journal, 0, n)
}

// crash leaves the names that are on the disk, and a first part of those on their way. The kernel knows none.
func (t *tree) crash(f fate) {
	n := 0
	for n < len(t.journal) && f.survives() {
		n++
	}
	t.commit(n)
	t.journal = nil
	t.nodes = map[uint64]*inode{}
	t.root.names = 0
	t.reset(t.root)
}

// reset makes of a node, and of those below it, what the disk says, and counts its names.
func (t *tree) reset(n *inode) {
	if _, again := t.nodes[n.id]; again {
		n.names++
		return
	}
	t.nodes[n.id] = n
	n.names, n.lookups = 1, 0
	if n.isDir() {
		n.live = maps.Clone(n.durable)
		for _, child := range n.live {
			t.reset(child)
		}
	}
}
