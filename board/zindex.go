package board

import (
	"fmt"
	"strings"
)

// Fractional indexing: keys that sort as bytes, with room for another between any two. A key is an integer part, whose
// first byte (the head) says how many digits follow and so makes longer numbers sort right, and a fraction without
// trailing zeros. Putting an object on top adds one to the integer part, so those keys stay short.
//
// The algorithm is David Greenspan's, https://observablehq.com/@dgreensp/implementing-fractional-indexing, and the keys
// are those of the npm package fractional-indexing, https://github.com/rocicorp/fractional-indexing. We part from it in
// two things: digits are validated, and before "A00000000000000000000000001" comes a key that is valid.
const (
	digits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digitMin = '0'
	digitMax = 'z'

	// Heads: 'a' is followed by 1 digit, 'b' by 2, … 'z' by 26; before them 'Z' by 1, 'Y' by 2, … 'A' by 26.
	headMin = 'A'
	headMax = 'z'

	// least is the smallest integer part. It is no key by itself: nothing would be before it.
	least = "A00000000000000000000000000"
)

// KeyBetween returns a key greater than lo and less than hi; an empty bound is none. It fails if a bound is malformed,
// or lo is not less than hi. The key is at most one byte longer than the longer of the two.
func KeyBetween(lo, hi string) (string, error) {
	for _, key := range []string{lo, hi} {
		if key != "" && !validKey(key) {
			return "", fmt.Errorf("%q is not a fractional index", key)
		}
	}
	if lo != "" && hi != "" && lo >= hi {
		return "", fmt.Errorf("fractional index %q is not less than %q", lo, hi)
	}
	switch {
	case lo == "" && hi == "":
		return "a0", nil
	case lo == "":
		return keyBefore(hi), nil
	}
	n, fraction := split(lo)
	if hi != "" {
		if m, bound := split(hi); n == m {
			return n + midpoint(fraction, bound), nil
		}
	}
	if next := increment(n); next != "" && (hi == "" || next < hi) {
		return next, nil
	}
	return n + midpoint(fraction, ""), nil
}

func keyBefore(hi string) string {
	n, fraction := split(hi)
	if n == least {
		return n + midpoint("", fraction)
	}
	if fraction == "" {
		n = decrement(n)
	}
	if n == least {
		return n + midpoint("", "")
	}
	return n
}

// validKey reports whether key is one that KeyBetween takes.
func validKey(key string) bool {
	n, fraction := split(key)
	if n == "" || key == least || strings.HasSuffix(fraction, "0") {
		return false
	}
	for i := 1; i < len(key); i++ {
		if strings.IndexByte(digits, key[i]) < 0 {
			return false
		}
	}
	return true
}

// split returns the integer part of key, empty if it has none, and the fraction.
func split(key string) (integer, fraction string) {
	if key == "" {
		return "", ""
	}
	n := 0
	switch head := key[0]; {
	case head >= 'a' && head <= headMax:
		n = int(head-'a') + 2
	case head >= headMin && head <= 'Z':
		n = int('Z'-head) + 2
	}
	if n > len(key) {
		return "", ""
	}
	return key[:n], key[n:]
}

// midpoint returns a fraction between two; an empty b is 1. The shortest there is, about half way.
func midpoint(a, b string) string {
	var mid []byte
	for {
		// What they have in common stays, a being as if followed by zeros. It cannot be all of b, whose last digit is
		// not zero.
		for b != "" && b[0] == digitAt(a) {
			mid = append(mid, b[0])
			a, b = a[min(1, len(a)):], b[1:]
		}
		lo, hi := strings.IndexByte(digits, digitAt(a)), len(digits)
		if b != "" {
			hi = strings.IndexByte(digits, b[0])
		}
		if hi-lo > 1 {
			return string(append(mid, digits[(lo+hi+1)/2]))
		}
		if len(b) > 1 {
			return string(append(mid, b[0]))
		}
		// Neighbours: keep the digit of a and look for room behind it, where nothing bounds it any more.
		mid = append(mid, digits[lo])
		a, b = a[min(1, len(a)):], ""
	}
}

func digitAt(s string) byte {
	if s == "" {
		return digitMin
	}
	return s[0]
}

// increment returns the integer part after x; empty if x is the last.
func increment(x string) string {
	next := []byte(x)
	for i := len(next) - 1; i > 0; i-- {
		if d := strings.IndexByte(digits, next[i]) + 1; d < len(digits) {
			next[i] = digits[d]
			return string(next)
		}
		next[i] = digitMin
	}
	switch {
	case next[0] == headMax:
		return ""
	case next[0] == 'Z':
		return "a0"
	case next[0] >= 'a':
		next = append(next, digitMin)
	default:
		next = next[:len(next)-1]
	}
	next[0]++
	return string(next)
}

// decrement returns the integer part before x, which is not the least.
func decrement(x string) string {
	prev := []byte(x)
	for i := len(prev) - 1; i > 0; i-- {
		if d := strings.IndexByte(digits, prev[i]) - 1; d >= 0 {
			prev[i] = digits[d]
			return string(prev)
		}
		prev[i] = digitMax
	}
	switch {
	case prev[0] == 'a':
		return "Zz"
	case prev[0] > 'a':
		prev = prev[:len(prev)-1]
	default:
		prev = append(prev, digitMax)
	}
	prev[0]--
	return string(prev)
}
