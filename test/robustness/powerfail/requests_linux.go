package powerfail

import (
	"errors"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// requests answers the kernel. What it does not implement the kernel does without (locks, flush, fallocate), or refuses.
type requests struct {
	fuse.RawFileSystem
	fs *FS
}

// Nobody changes files but through the kernel: what it knows stays true, until it is mounted anew.
const validity = 24 * time.Hour

// openFlags keep the cache, which shared mappings live in, and have close(2) write nothing.
const openFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH

func (r *requests) String() string { return "powerfail" }

// locked runs one operation on a node.
func (r *requests) locked(id uint64, do func(n *inode) error) fuse.Status {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	n := r.fs.tree.nodes[id]
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	err := do(n)
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return fuse.Status(errno)
	}
	if err != nil {
		return fuse.EIO
	}
	return fuse.OK
}

// Attributes.

func (n *inode) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = n.id, n.mode, uint32(n.names)
	out.Uid, out.Gid = n.uid, n.gid
	out.Size, out.Blocks, out.Blksize = uint64(n.content.size), uint64(n.content.allocated/512), pageSize
	if n.isDir() {
		out.Nlink = 2
	}
	out.SetTimes(&n.mtime, &n.mtime, &n.mtime)
}

// told is that the kernel hears of a node.
func (n *inode) told(out *fuse.EntryOut) {
	n.lookups++
	out.NodeId = n.id
	n.attr(&out.Attr)
	out.SetEntryTimeout(validity)
	out.SetAttrTimeout(validity)
}

func (r *requests) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		n := dir.live[name]
		if n == nil {
			return syscall.ENOENT
		}
		n.told(out)
		return nil
	})
}

func (r *requests) Forget(id, lookups uint64) {
	r.locked(id, func(n *inode) error {
		n.lookups -= lookups
		r.fs.forget(n)
		return nil
	})
}

func (r *requests) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return r.locked(in.NodeId, func(n *inode) error {
		n.attr(&out.Attr)
		out.SetTimeout(validity)
		return nil
	})
}

func (r *requests) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return r.locked(in.NodeId, func(n *inode) error {
		if size, ok := in.GetSize(); ok {
			r.fs.truncate(n, int64(size))
			n.mtime = time.Now()
		}
		if mode, ok := in.GetMode(); ok {
			n.mode = n.mode&typeMask | mode&^typeMask
		}
		if uid, ok := in.GetUID(); ok {
			n.uid = uid
		}
		if gid, ok := in.GetGID(); ok {
			n.gid = gid
		}
		if mtime, ok := in.GetMTime(); ok {
			n.mtime = mtime
		}
		n.attr(&out.Attr)
		out.SetTimeout(validity)
		return nil
	})
}

func (r *requests) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return r.locked(in.NodeId, func(*inode) error {
		const large = math.MaxInt64 / 2
		out.Bsize, out.Frsize, out.NameLen = pageSize, pageSize, 255
		out.Blocks = uint64(min(r.fs.limit, large) / pageSize)
		out.Bfree = uint64(max(min(r.fs.limit, large)-r.fs.used, 0) / pageSize)
		out.Bavail, out.Files, out.Ffree = out.Bfree, large, large
		return nil
	})
}

// Names.

// create gives a new node a name.
func (r *requests) create(dir *inode, name string, mode uint32, in *fuse.InHeader) (*inode, error) {
	if dir.live[name] != nil {
		return nil, syscall.EEXIST
	}
	n := r.fs.tree.newInode(mode, in.Uid, in.Gid)
	r.fs.tree.do(change{{dir: dir, name: name, node: n}})
	return n, nil
}

func (r *requests) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		n := dir.live[name]
		if n == nil || in.Flags&unix.O_EXCL != 0 {
			var err error
			if n, err = r.create(dir, name, fileMode|in.Mode&^typeMask, &in.InHeader); err != nil {
				return err
			}
		}
		r.open(n, in.Flags, &out.OpenOut)
		n.told(&out.EntryOut)
		return nil
	})
}

func (r *requests) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		n, err := r.create(dir, name, in.Mode, &in.InHeader)
		if err != nil {
			return err
		}
		n.told(out)
		return nil
	})
}

func (r *requests) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		n, err := r.create(dir, name, dirMode|in.Mode&^typeMask, &in.InHeader)
		if err != nil {
			return err
		}
		n.told(out)
		return nil
	})
}

func (r *requests) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		n := r.fs.tree.nodes[in.Oldnodeid]
		if n == nil {
			return syscall.ESTALE
		}
		if dir.live[name] != nil {
			return syscall.EEXIST
		}
		r.fs.tree.do(change{{dir: dir, name: name, node: n}})
		n.told(out)
		return nil
	})
}

func (r *requests) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error { return r.remove(dir, name) })
}

func (r *requests) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error { return r.remove(dir, name) })
}

// remove takes a name away; the kernel has looked whether it is a file's or a directory's.
func (r *requests) remove(dir *inode, name string) error {
	n := dir.live[name]
	if n == nil {
		return syscall.ENOENT
	}
	if len(n.live) > 0 {
		return syscall.ENOTEMPTY
	}
	r.fs.tree.do(change{{dir: dir, name: name}})
	r.fs.forget(n)
	return nil
}

func (r *requests) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	return r.locked(in.NodeId, func(from *inode) error {
		to := r.fs.tree.nodes[in.Newdir]
		if to == nil {
			return syscall.ESTALE
		}
		n, was := from.live[oldName], to.live[newName]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n == was:
			return nil
		case in.Flags&^unix.RENAME_NOREPLACE != 0:
			return syscall.EINVAL
		case was != nil && in.Flags&unix.RENAME_NOREPLACE != 0:
			return syscall.EEXIST
		case was != nil && len(was.live) > 0:
			return syscall.ENOTEMPTY
		}
		r.fs.tree.do(change{{dir: to, name: newName, node: n}, {dir: from, name: oldName}})
		if was != nil {
			r.fs.forget(was)
		}
		return nil
	})
}

func (r *requests) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return r.locked(in.NodeId, func(*inode) error { return nil })
}

// ReadDir lists in the order of the ids, which are the offsets: so who removes what he reads misses nothing.
func (r *requests) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return r.locked(in.NodeId, func(dir *inode) error {
		type named struct {
			name string
			*inode
		}
		var list []named
		for name, n := range dir.live {
			if n.id > in.Offset {
				list = append(list, named{name, n})
			}
		}
		slices.SortFunc(list, func(a, b named) int { return int(a.id) - int(b.id) })
		for _, n := range list {
			if !out.AddDirEntry(fuse.DirEntry{Name: n.name, Mode: n.mode, Ino: n.id, Off: n.id}) {
				break
			}
		}
		return nil
	})
}

// Data.

func (r *requests) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return r.locked(in.NodeId, func(n *inode) error {
		r.open(n, in.Flags, out)
		return nil
	})
}

func (r *requests) open(n *inode, flags uint32, out *fuse.OpenOut) {
	if flags&unix.O_TRUNC != 0 {
		r.fs.truncate(n, 0)
	}
	out.OpenFlags = openFlags
}

func (r *requests) Read(_ <-chan struct{}, in *fuse.ReadIn, _ []byte) (fuse.ReadResult, fuse.Status) {
	var data []byte
	status := r.locked(in.NodeId, func(n *inode) error {
		data = n.content.read(int64(in.Offset), int(in.Size))
		return nil
	})
	return fuse.ReadResultData(data), status
}

// Write leaves O_SYNC to the kernel, which asks for a sync after it.
func (r *requests) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := r.locked(in.NodeId, func(n *inode) error {
		n.mtime = time.Now()
		return r.fs.write(n, int64(in.Offset), data)
	})
	if !status.Ok() {
		return 0, status
	}
	return uint32(len(data)), status
}

func (r *requests) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return r.locked(in.NodeId, r.fs.sync)
}

func (r *requests) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return r.locked(in.NodeId, r.fs.sync)
}
