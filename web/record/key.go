package record

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Key names a run in addresses: 16 lower-case letters and digits, made of the
// run's path below the folder that was given, so that it stays when that folder is
// moved.
type Key string

var keyLetters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func keyOf(name string) Key {
	sum := sha256.Sum256([]byte(name))
	return Key(keyLetters.EncodeToString(sum[:10]))
}

// Valid reports whether a text looks like a key.
func (k Key) Valid() bool {
	return len(k) == 16 && strings.Trim(string(k), "abcdefghijklmnopqrstuvwxyz234567") == ""
}
