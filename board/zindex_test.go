package board_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/board"
)

// The vectors are those that the npm package fractional-indexing publishes for its base-62 keys, and the edges of what
// we do differently.
func TestKeyBetween(t *testing.T) {
	t.Parallel()
	least := "A" + strings.Repeat("0", 26)
	most := strings.Repeat("z", 27)
	for _, tc := range []struct{ lo, hi, want string }{
		{"", "", "a0"},
		{"", "a0", "Zz"},
		{"", "Zz", "Zy"},
		{"a0", "", "a1"},
		{"a1", "", "a2"},
		{"a0", "a1", "a0V"},
		{"a1", "a2", "a1V"},
		{"a0V", "a1", "a0l"},
		{"Zz", "a0", "ZzV"},
		{"Zz", "a1", "a0"},
		{"", "Y00", "Xzzz"},
		{"bzz", "", "c000"},
		{"a0", "a0V", "a0G"},
		{"a0", "a0G", "a08"},
		{"b125", "b129", "b127"},
		{"a0", "a1V", "a1"},
		{"Zz", "a01", "a0"},
		{"", "a0V", "a0"},
		{"", "b999", "b99"},
		{"", least + "1", least + "0V"},
		{most[1:] + "y", "", most},
		{most, "", most + "V"},
		{most + "z", "", most + "zV"},
		{"az", "", "b00"},
		{"", "b00", "az"},
		{"Yzz", "", "Z0"},
		{"", "Z0", "Yzz"},
		{"a0zz", "a1", "a0zzV"},
		{"a00z", "a01", "a00zV"},
		{"a01", "a011", "a010V"},
		{"a01", "a021", "a02"},
		// The npm package answers with least here, which it takes for no key.
		{"", "A" + strings.Repeat("0", 25) + "1", least + "V"},

		{"", least, ""},
		{"a00", "", ""},
		{"a00", "a1", ""},
		{"0", "1", ""},
		{"a1", "a0", ""},
		{"a1", "a1", ""},
		{"a", "", ""},
		{"b1", "", ""},
		{"a-", "", ""},
		{"a0é", "", ""},
		{"", "a1 ", ""},
		{"{0", "", ""},
		{"@0", "", ""},
		{"[0", "", ""},
	} {
		got, err := board.KeyBetween(tc.lo, tc.hi)
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("KeyBetween(%q, %q) = %q, %v; want %q", tc.lo, tc.hi, got, err, tc.want)
		}
	}
}

func TestKeyBetweenKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := []string{}
		for range rapid.IntRange(1, 200).Draw(t, "inserts") {
			// Mostly at a few places, where keys get long.
			at := min(rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, len(keys))).Draw(t, "at"), len(keys))
			key := mustKeyBetween(t, neighbour(keys, at-1), neighbour(keys, at))
			keys = slices.Insert(keys, at, key)
		}
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Fatalf("not in strict order: %q", keys)
		}
	})
}

func neighbour(keys []string, i int) string {
	if i < 0 || i >= len(keys) {
		return ""
	}
	return keys[i]
}

// mustKeyBetween checks all that is promised of the key: it is between, is valid, and is not longer than need be.
func mustKeyBetween(t tb, lo, hi string) string {
	t.Helper()
	key, err := board.KeyBetween(lo, hi)
	if err != nil {
		t.Fatalf("KeyBetween(%q, %q): %v", lo, hi, err)
	}
	if key <= lo || (hi != "" && key >= hi) {
		t.Fatalf("KeyBetween(%q, %q) = %q", lo, hi, key)
	}
	if len(key) > max(len(lo), len(hi), 1)+1 {
		t.Fatalf("KeyBetween(%q, %q) = %q, longer than need be", lo, hi, key)
	}
	if _, err := board.KeyBetween(key, ""); err != nil {
		t.Fatalf("KeyBetween(%q, %q) = %q, which is no key: %v", lo, hi, key, err)
	}
	return key
}

func FuzzKeyBetween(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""},
		{"a0", "a1"},
		{"a0", "a0G"},
		{"Zz", "a01"},
		{"bzz", ""},
		{"", "Y00"},
		{"a00", "a1"},
		{"0", "1"},
		{"", "A" + strings.Repeat("0", 26)},
		{strings.Repeat("z", 27), ""},
		{"A" + strings.Repeat("0", 26) + "1", "A" + strings.Repeat("0", 25) + "1"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, lo, hi string) {
		valid := true
		for _, key := range []string{lo, hi} {
			if key != "" {
				_, err := board.KeyBetween(key, "")
				valid = valid && err == nil
			}
		}
		if !valid || (lo != "" && hi != "" && lo >= hi) {
			if key, err := board.KeyBetween(lo, hi); err == nil {
				t.Fatalf("KeyBetween(%q, %q) = %q", lo, hi, key)
			}
			return
		}
		key := mustKeyBetween(t, lo, hi)
		mustKeyBetween(t, lo, key)
		mustKeyBetween(t, key, hi)
	})
}
