package search

import (
	"unicode"
	"unicode/utf8"
)

// maxWordBytes bounds a word in the index. Of a longer one its beginning is
// there, and what is found by it is compared with the text.
const maxWordBytes = 64

// fold makes lower case of text, in place, and returns it. A letter whose lower
// case takes another number of bytes stays, so that places in the folded text
// are places in the text.
func fold(text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				text[i] = c + 'a' - 'A'
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if low := unicode.ToLower(r); low != r && utf8.RuneLen(low) == size {
			utf8.EncodeRune(text[i:], low)
		}
		i += size
	}
	return text
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWord reports whether a letter or sign belongs to words.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// isIdeograph reports whether a sign is a word by itself, as in scripts that
// put no space between words.
func isIdeograph(r rune) bool {
	return r > 0x0E00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// isPoint reports whether a decimal point stands at i, with a digit on each side.
func isPoint(text []byte, i int) bool {
	return text[i] == '.' && i > 0 && i+1 < len(text) && isDigit(text[i-1]) && isDigit(text[i+1])
}

// appendWords appends the words of a folded text to dst, with a space after
// each, and reports whether a word was shortened.
func appendWords(dst, text []byte) ([]byte, bool) {
	shortened := false
	start := -1 // of the current word
	end := func(at int) {
		if start < 0 {
			return
		}
		word := text[start:at]
		if len(word) > maxWordBytes {
			cut := maxWordBytes
			for !utf8.RuneStart(word[cut]) {
				cut--
			}
			word, shortened = word[:cut], true
		}
		dst = append(append(dst, word...), ' ')
		start = -1
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			switch {
			case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z':
				if start < 0 {
					start = i
				}
			case c == '.' && start >= 0 && isPoint(text, i):
			default:
				end(i)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case isIdeograph(r) && isWord(r):
			end(i)
			start = i
			end(i + size)
		case isWord(r):
			if start < 0 {
				start = i
			}
		default:
			end(i)
		}
		i += size
	}
	end(len(text))
	return dst, shortened
}

// inside reports whether a place in a text, before the byte at, lies within a
// word.
func inside(text []byte, at int) bool {
	if at <= 0 || at >= len(text) {
		return false
	}
	if isPoint(text, at-1) || isPoint(text, at) {
		return true
	}
	before, _ := utf8.DecodeLastRune(text[:at])
	after, _ := utf8.DecodeRune(text[at:])
	return isWord(before) && isWord(after) && !isIdeograph(before) && !isIdeograph(after)
}
