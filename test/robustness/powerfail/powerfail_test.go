package powerfail_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/collaboard-io/collaboard/test/robustness/powerfail"
)

const page = 4096

// fill returns n bytes of one letter.
func fill(letter byte, n int) []byte { return bytes.Repeat([]byte{letter}, n) }

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func writeAt(t *testing.T, f *os.File, data []byte, off int64) {
	t.Helper()
	if _, err := f.WriteAt(data, off); err != nil {
		t.Fatal(err)
	}
}

func sync(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// crash closes what the test has open, and lets the power fail.
func crash(t *testing.T, fs *powerfail.FS, rng *rand.Rand, chance float64, files ...*os.File) {
	t.Helper()
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.Crash(rng, chance); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// list returns the paths of everything, in order.
func list(t *testing.T, fsys *powerfail.FS) (paths []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(fsys.Dir()), ".", func(path string, _ fs.DirEntry, err error) error {
		if path != "." {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestOnlyWhatWasSyncedIsThere(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	path := filepath.Join(fs.Dir(), "file")
	f := create(t, path)
	writeAt(t, f, fill('a', 3*page), 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	writeAt(t, f, fill('b', page+10), 2*page-5) // within, across pages, and behind the end
	if got := read(t, path); len(got) != 3*page+5 || got[2*page] != 'b' {
		t.Fatalf("processes see %d bytes without what was written", len(got))
	}
	crash(t, fs, nil, 0, f)
	if got := read(t, path); !bytes.Equal(got, fill('a', 3*page)) {
		t.Errorf("found %d bytes, %q…, want the synced ones", len(got), got[:10])
	}
	if stats := fs.Stats(); stats.Syncs != 1 || stats.Kept != 0 || stats.Dropped != 3*page || stats.Used != 3*page {
		t.Errorf("stats %+v", stats)
	}
}

func TestFdatasyncAndSynchronousWritesAreDurable(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	plain := create(t, filepath.Join(fs.Dir(), "fdatasync"))
	writeAt(t, plain, fill('a', 10), 0)
	if err := unix.Fdatasync(int(plain.Fd())); err != nil {
		t.Fatal(err)
	}
	files := []*os.File{plain}
	for name, flag := range map[string]int{"sync": unix.O_SYNC, "dsync": unix.O_DSYNC} {
		f, err := os.OpenFile(filepath.Join(fs.Dir(), name), os.O_CREATE|os.O_RDWR|flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		writeAt(t, f, fill('a', 10), 0)
		files = append(files, f)
	}
	crash(t, fs, nil, 0, files...)
	for _, name := range []string{"fdatasync", "sync", "dsync"} {
		if got := read(t, filepath.Join(fs.Dir(), name)); string(got) != "aaaaaaaaaa" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestPagesSurviveByTheSeed draws for each page, and for the sectors of some, the same with the same seed.
func TestPagesSurviveByTheSeed(t *testing.T) {
	t.Parallel()
	const n = 200
	survivors := func(seed uint64) []byte {
		fs := powerfail.New(t)
		path := filepath.Join(fs.Dir(), "file")
		f := create(t, path)
		writeAt(t, f, fill('a', n*page), 0)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		writeAt(t, f, fill('b', n*page), 0)
		crash(t, fs, rand.New(rand.NewPCG(seed, 0)), 0.5, f)
		stats := fs.Stats()
		data := read(t, path)
		if got := int64(bytes.Count(data, []byte("b"))); stats.Kept != got || stats.Dropped != n*page-got {
			t.Errorf("%d bytes survived, stats %+v", got, stats)
		}
		return data
	}
	first := survivors(1)
	if !bytes.Equal(first, survivors(1)) {
		t.Error("the same seed leaves something else")
	}
	if bytes.Equal(first, survivors(2)) {
		t.Error("another seed leaves the same")
	}
	kinds := map[string]int{}
	for p := range slices.Chunk(first, page) {
		for sector := range slices.Chunk(p, 512) {
			if b := bytes.Count(sector, []byte("b")); b != 0 && b != 512 {
				t.Fatal("a sector is torn")
			}
		}
		switch bytes.Count(p, []byte("b")) {
		case 0:
			kinds["old"]++
		case page:
			kinds["new"]++
		default:
			kinds["torn"]++
		}
	}
	if kinds["old"] < n/4 || kinds["new"] < n/5 || kinds["torn"] < n/20 || kinds["torn"] > n/4 {
		t.Errorf("pages: %v", kinds)
	}
}

func TestTruncationIsDurableWhenSynced(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sync   bool
		chance float64
		want   []byte
	}{
		"synced":          {true, 0, fill('a', page+1)},
		"lost":            {false, 0, fill('a', 3*page)},
		"not even synced": {false, 1, fill('a', page+1)},
	} {
		fs := powerfail.New(t)
		path := filepath.Join(fs.Dir(), "file")
		f := create(t, path)
		writeAt(t, f, fill('a', 3*page), 0)
		sync(t, path)
		if err := f.Truncate(page + 1); err != nil {
			t.Fatal(err)
		}
		if tc.sync {
			sync(t, path)
		}
		crash(t, fs, nil, tc.chance, f)
		if got := read(t, path); !bytes.Equal(got, tc.want) {
			t.Errorf("%s: found %d bytes, want %d", name, len(got), len(tc.want))
		}
	}
}

// TestWhatWasCutOffDoesNotComeBack writes behind a cut, leaving a hole.
func TestWhatWasCutOffDoesNotComeBack(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	path := filepath.Join(fs.Dir(), "file")
	f := create(t, path)
	writeAt(t, f, fill('a', 3*page), 0)
	sync(t, path)
	if err := f.Truncate(10); err != nil {
		t.Fatal(err)
	}
	writeAt(t, f, []byte("b"), 3*page)
	want := slices.Concat(fill('a', 10), make([]byte, 3*page-10), []byte("b"))
	if got := read(t, path); !bytes.Equal(got, want) {
		t.Error("processes see what was cut off")
	}
	sync(t, path)
	crash(t, fs, nil, 0, f)
	if got := read(t, path); !bytes.Equal(got, want) {
		t.Error("what was cut off is back")
	}
}

// TestTruncationComesBeforeWhatFollowsIt replaces a file in place, which ends as the old one, or as a part of the new one.
func TestTruncationComesBeforeWhatFollowsIt(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for seed := range uint64(30) {
		fs := powerfail.New(t)
		path := filepath.Join(fs.Dir(), "file")
		f := create(t, path)
		writeAt(t, f, fill('a', 2*page), 0)
		sync(t, path)
		check(t, f.Truncate(10))
		writeAt(t, f, fill('b', 2*page), page)
		crash(t, fs, rand.New(rand.NewPCG(seed, 0)), 0.5, f)
		check(t, os.Truncate(path, 4*page))
		data := read(t, path)
		switch a, b := bytes.Count(data, []byte("a")), bytes.Count(data, []byte("b")); {
		case a == 2*page && b == 0:
			found["old"]++
		case a == 10 && b == 0:
			found["cut"]++
		case a == 10:
			found["new"]++
		default:
			t.Errorf("seed %d: %d bytes of the old content and %d of the new one", seed, a, b)
		}
	}
	if found["old"] == 0 || found["cut"] == 0 || found["new"] == 0 {
		t.Errorf("found %v: all should occur", found)
	}
}

// TestNamesAreDurableByTheJournal does things to names, syncs, crashes, and looks what there is.
func TestNamesAreDurableByTheJournal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(t *testing.T, at func(string) string)
		want string
	}{
		"nothing is synced":           {func(*testing.T, func(string) string) {}, "dir dir/old"},
		"a new file by its own sync":  {func(t *testing.T, at func(string) string) { create(t, at("new")).Close(); sync(t, at("new")) }, "dir dir/old new"},
		"a new file by its directory": {func(t *testing.T, at func(string) string) { create(t, at("new")).Close(); sync(t, at(".")) }, "dir dir/old new"},
		"a new file without a sync":   {func(t *testing.T, at func(string) string) { create(t, at("new")).Close() }, "dir dir/old"},
		"a file that another follows": {func(t *testing.T, at func(string) string) {
			create(t, at("a")).Close()
			create(t, at("b")).Close()
			create(t, at("c")).Close()
			sync(t, at("b"))
		}, "a b dir dir/old"},
		"a rename without a sync": {func(t *testing.T, at func(string) string) { check(t, os.Rename(at("dir/old"), at("new"))) }, "dir dir/old"},
		"a rename by the file": {func(t *testing.T, at func(string) string) {
			check(t, os.Rename(at("dir/old"), at("new")))
			sync(t, at("new"))
		}, "dir new"},
		"a rename by the directory that it left": {func(t *testing.T, at func(string) string) {
			check(t, os.Rename(at("dir/old"), at("new")))
			sync(t, at("dir"))
		}, "dir new"},
		"an unlink without a sync": {func(t *testing.T, at func(string) string) { check(t, os.Remove(at("dir/old"))) }, "dir dir/old"},
		"an unlink by the directory": {func(t *testing.T, at func(string) string) {
			check(t, os.Remove(at("dir/old")))
			sync(t, at("dir"))
		}, "dir"},
		"directories": {func(t *testing.T, at func(string) string) {
			check(t, os.MkdirAll(at("x/y"), 0o700))
			sync(t, at("x/y"))
			check(t, os.RemoveAll(at("dir")))
		}, "dir dir/old x x/y"},
		"a link": {func(t *testing.T, at func(string) string) {
			check(t, os.Link(at("dir/old"), at("link")))
			check(t, os.Remove(at("dir/old")))
			sync(t, at("link"))
		}, "dir link"},
	} {
		fs := powerfail.New(t)
		at := func(name string) string { return filepath.Join(fs.Dir(), name) }
		check(t, os.Mkdir(at("dir"), 0o700))
		check(t, os.WriteFile(at("dir/old"), []byte("old"), 0o600))
		fs.Sync()
		tc.do(t, at)
		crash(t, fs, nil, 0)
		paths := list(t, fs)
		if got := strings.Join(paths, " "); got != tc.want {
			t.Errorf("%s: found %s, want %s", name, got, tc.want)
		}
		// The file is what it was, whatever it is called.
		for _, path := range paths {
			if base := filepath.Base(path); base == "old" || base == "link" || strings.HasPrefix(name, "a rename") && base == "new" {
				if got := string(read(t, at(path))); got != "old" {
					t.Errorf("%s: %s holds %q", name, path, got)
				}
			}
		}
		// What is lost is not remembered either.
		create(t, at("z")).Close()
		sync(t, at("z"))
		crash(t, fs, nil, 0)
		if got := strings.Join(list(t, fs), " "); got != tc.want+" z" {
			t.Errorf("%s: found %s after another crash, want %s z", name, got, tc.want)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReplacedFileIsOneOrTheOther is the usual way to replace a file, with and without the sync that it needs.
func TestReplacedFileIsOneOrTheOther(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for seed := range uint64(20) {
		fs := powerfail.New(t)
		path, next := filepath.Join(fs.Dir(), "file"), filepath.Join(fs.Dir(), "next")
		check(t, os.WriteFile(path, []byte("old"), 0o600))
		fs.Sync()
		check(t, os.WriteFile(next, []byte("new"), 0o600))
		if seed%2 == 0 {
			sync(t, next)
		}
		check(t, os.Rename(next, path))
		crash(t, fs, rand.New(rand.NewPCG(seed, 0)), 0.6)
		got := string(read(t, path))
		if seed%2 == 0 && got != "old" && got != "new" {
			t.Errorf("seed %d: the file holds %q", seed, got)
		}
		found[got]++
	}
	if found["old"] == 0 || found["new"] == 0 || found[""] == 0 {
		t.Errorf("found %v: the old one, the new one, and without a sync an empty one should all occur", found)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	f := create(t, filepath.Join(fs.Dir(), "file"))
	writeAt(t, f, fill('a', 2*page), 0)
	fs.Limit(fs.Stats().Used + page)
	writeAt(t, f, fill('b', 2*page), page) // one page more
	if _, err := f.WriteAt([]byte("c"), 3*page); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a page too many: %v, want ENOSPC", err)
	}
	var st unix.Statfs_t
	if check(t, unix.Statfs(fs.Dir(), &st)); st.Bavail != 0 {
		t.Errorf("%d blocks are free", st.Bavail)
	}
	writeAt(t, f, []byte("d"), 0) // what is there can be overwritten
	check(t, f.Truncate(page))
	writeAt(t, f, fill('e', page), 5*page) // what was cut off is free again
	fs.Limit(0)
	if _, err := f.WriteAt([]byte("f"), 9*page); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("below what is used: %v, want ENOSPC", err)
	}
	fs.Limit(1 << 40)
	writeAt(t, f, []byte("f"), 9*page)
	if used := fs.Stats().Used; used != 3*page {
		t.Errorf("%d bytes used, want 3 pages", used)
	}
	check(t, f.Close())
	check(t, os.Remove(f.Name()))
	for start := time.Now(); fs.Stats().Used > 0; <-time.After(time.Millisecond) { // the kernel forgets it when it likes
		if time.Since(start) > time.Minute {
			t.Fatalf("%d bytes used by nothing", fs.Stats().Used)
		}
	}
}

// TestFailedSyncForgets has a sync fail. The next one succeeds without the data, unless that was written anew.
func TestFailedSyncForgets(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	path := filepath.Join(fs.Dir(), "file")
	f := create(t, path)
	writeAt(t, f, fill('a', 2*page), 0)
	sync(t, path)
	writeAt(t, f, fill('b', 2*page), 0)
	fs.FailSync(syscall.EIO, 1)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want EIO", err)
	}
	if got := read(t, path); !bytes.Equal(got, fill('b', 2*page)) {
		t.Error("processes do not see what they wrote")
	}
	writeAt(t, f, []byte("c"), 0) // the page is written again with what it holds
	check(t, f.Sync())
	failing := create(t, filepath.Join(fs.Dir(), "new"))
	fs.FailSync(syscall.EIO, 1)
	if err := failing.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want EIO", err)
	}
	crash(t, fs, nil, 0, f, failing)
	if got := list(t, fs); !slices.Equal(got, []string{"file"}) {
		t.Errorf("found %v: a name is durable though its sync failed", got)
	}
	if got := read(t, path); !bytes.Equal(got, slices.Concat([]byte("c"), fill('b', page-1), fill('a', page))) {
		t.Errorf("found %q…%q…", got[:3], got[page:page+3])
	}
}

func TestCrashWhileInUseIsRefused(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	f := create(t, filepath.Join(fs.Dir(), "file"))
	if err := fs.Crash(nil, 0); !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("crash: %v, want EBUSY", err)
	}
	writeAt(t, f, []byte("on it goes"), 0)
	crash(t, fs, nil, 0, f)
}
