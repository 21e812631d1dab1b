// Package powerfail is a file system for tests that forgets, at a power failure, what was not synced. To kill a server
// does not test its fsyncs, since the operating system survives and writes everything out; this does.
//
// Files live in memory, behind a FUSE mount. Each has what processes see, and what would be found on the disk:
//
//   - Data is durable after fsync or fdatasync of its file, or when it was written with O_SYNC or O_DSYNC. What is
//     written through a shared mapping is like other data: msync alone writes nothing but what a sync then makes durable.
//   - Names are as on ext4: one journal has every create, link, rename and unlink, in order. A sync of a file or of a
//     directory makes durable each of them up to the last that concerns it; so an fsync of a new file keeps its name,
//     too, and a rename is durable after an fsync of the file or of one of its directories. Other file systems promise
//     less for a file's fsync: that a directory is not synced is found only where nothing later is.
//   - Mode, owner and times are durable at once. sync(2) and syncfs(2) do nothing: FUSE does not hear of them.
//   - Of what is not durable, a power failure keeps a part by chance, since a disk may have written any of it in any
//     order: of the names a first part of the journal; of a file pages of 4 KiB, some of them torn at sectors of 512
//     bytes. A file is as long as the last of its pages that survived. A truncation survives or does not, and pages
//     that were written behind the cut after it do not survive without it.
//
// The process that mounts also serves. So it must do nothing there that stops Go's scheduler until the kernel has an
// answer: it must not map a file, nor start a process with its working directory there. Its children may, and may be
// killed. If it is killed itself while it uses a file there, it stays, waiting for itself, until another one calls Mount.
package powerfail

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// UnavailableError is that this machine cannot mount: FUSE is missing, or we are not root.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return "a file system that loses power needs Linux, /dev/fuse and root: " + e.Err.Error()
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// FS is a mounted file system. Its methods may be called concurrently, but for Crash and Close.
type FS struct {
	dir   string
	mount mounted

	mu     sync.Mutex // guards what follows, and is held for each operation; leaf
	tree   tree
	used   int64 // bytes in pages of live content, of unlinked files that are open, too
	limit  int64
	failed struct {
		err   syscall.Errno
		times int
	}
	stats Stats
}

// Stats are counts since Mount.
type Stats struct {
	Syncs int   // fsync, fdatasync, and writes with O_SYNC or O_DSYNC, that succeeded
	Used  int64 // bytes of live content, in whole pages; those of a removed file go a moment later
	// Of files whose names survived, bytes in whole sectors that power failures dropped, and kept though they were not
	// synced.
	Dropped, Kept int64
}

// Mount mounts an empty file system at dir, a directory that exists. It must be closed. The error is an
// *UnavailableError where that is not possible.
func Mount(dir string) (*FS, error) {
	fs := &FS{dir: dir, tree: newTree(), limit: math.MaxInt64}
	if err := fs.attach(); err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	return fs, nil
}

// Dir is where processes put their files.
func (fs *FS) Dir() string { return fs.dir }

// Crash lets the power fail, and mounts what a machine would find after it has come back. Of what is not durable, each
// part survives with this chance from 0 (only what was synced; rng may be nil) to 1; the same seed does the same to the
// same files. All processes that have files open must have been killed, or it fails and does nothing.
func (fs *FS) Crash(rng *rand.Rand, chance float64) error {
	if err := fs.detach(); err != nil {
		return fmt.Errorf("power failure at %s, which is in use: %w", fs.dir, err)
	}
	fs.crash(fate{rng: rng, chance: chance})
	if err := fs.attach(); err != nil {
		return fmt.Errorf("mount %s after a power failure: %w", fs.dir, err)
	}
	return nil
}

// fate draws what survives.
type fate struct {
	rng    *rand.Rand
	chance float64
}

func (f fate) survives() bool { return f.chance >= 1 || f.chance > 0 && f.rng.Float64() < f.chance }

// tears says whether a page that survives does so in part.
func (f fate) tears() bool { return f.chance < 1 && f.rng.IntN(4) == 0 }

// survivingSectors are those that a disk has written of a page.
func (f fate) survivingSectors() (sectors [sectorsPerPage]bool) {
	if !f.survives() {
		return sectors
	}
	tears := f.tears()
	for i := range sectors {
		sectors[i] = !tears || f.rng.IntN(2) == 0
	}
	return sectors
}

func (fs *FS) crash(f fate) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.tree.crash(f)
	fs.used = 0
	// In order of the ids, so that a seed means the same each time.
	for _, id := range slices.Sorted(maps.Keys(fs.tree.nodes)) {
		n := fs.tree.nodes[id]
		dropped, kept := n.content.crash(f)
		fs.stats.Dropped += dropped
		fs.stats.Kept += kept
		fs.used += n.content.allocated
	}
}

// Sync makes everything durable.
func (fs *FS) Sync() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.tree.commit(len(fs.tree.journal))
	for _, n := range fs.tree.nodes {
		n.content.sync()
	}
}

// Limit bounds the live content, in bytes: a write that needs more fails with ENOSPC. What is there stays. There is no
// limit at first, which is math.MaxInt64.
func (fs *FS) Limit(bytes int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.limit = bytes
}

// FailSync makes the next syncs fail, this many times. As on Linux, data that could not be written is not tried again:
// processes go on seeing it, and the sync after these succeeds without it, unless it was written anew.
func (fs *FS) FailSync(err syscall.Errno, times int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.failed.err, fs.failed.times = err, times
}

// Stats returns the counts by now.
func (fs *FS) Stats() Stats {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	stats := fs.stats
	stats.Used = fs.used
	return stats
}

// Close unmounts. Nothing of it stays.
func (fs *FS) Close() error {
	if err := fs.detach(); err != nil {
		return errors.Join(fmt.Errorf("unmount %s: %w", fs.dir, err), fs.abandon())
	}
	return nil
}

// sync is a process's fsync of a file or directory. The caller holds mu.
func (fs *FS) sync(n *inode) error {
	if fs.failed.times > 0 {
		fs.failed.times--
		n.content.failSync()
		return fs.failed.err
	}
	fs.tree.sync(n)
	n.content.sync()
	fs.stats.Syncs++
	return nil
}

// write is a process's write. The caller holds mu.
func (fs *FS) write(n *inode, off int64, data []byte) error {
	if need := n.content.missing(off, len(data)); need > 0 && fs.used+need > fs.limit {
		return syscall.ENOSPC
	}
	before := n.content.allocated
	n.content.write(off, data)
	fs.used += n.content.allocated - before
	return nil
}

// truncate is a process's ftruncate. The caller holds mu.
func (fs *FS) truncate(n *inode, size int64) {
	before := n.content.allocated
	n.content.truncate(size)
	fs.used += n.content.allocated - before
}

// forget frees a file that nobody can reach. The caller holds mu.
func (fs *FS) forget(n *inode) {
	if n.names == 0 && n.lookups == 0 {
		delete(fs.tree.nodes, n.id)
		fs.used -= n.content.allocated
	}
}
