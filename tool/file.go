package tool

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxOpenBytes bounds the files that open shows: counting the lines of a
	// larger one takes too long to be done at every look.
	maxOpenBytes = 256 << 20
	// maxEditBytes bounds the files that edit and insert change, since they
	// hold them in memory.
	maxEditBytes = 32 << 20
)

// openRegular opens a regular file for reading. The problem is worded for the
// agent. Anything else than a file (a pipe, a device) is never waited for.
func openRegular(name, real string, maxBytes int64) (*os.File, string) {
	file, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Sprintf("Error: %s could not be opened: %s", clip(name), reason(err))
	}
	info, err := file.Stat()
	problem := ""
	switch {
	case err != nil:
		problem = fmt.Sprintf("Error: %s could not be opened: %s", clip(name), reason(err))
	case info.IsDir():
		problem = fmt.Sprintf("Error: %s is a directory. Only files can be opened; use cd or ls to look around.", clip(name))
	case !info.Mode().IsRegular():
		problem = fmt.Sprintf("Error: %s is not a regular file (%s).", clip(name), kind(info.Mode()))
	case info.Size() > maxBytes:
		problem = fmt.Sprintf("Error: %s has %s, more than the %s that can be handled here. Use shell commands such as head, tail, grep or sed -n '1000,1040p' to look at parts of it.",
			clip(name), size(info.Size()), size(maxBytes))
	}
	if problem != "" {
		_ = file.Close()
		return nil, problem
	}
	return file, ""
}

func kind(mode os.FileMode) string {
	switch {
	case mode&os.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}

// size words a number of bytes.
func size(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// sniffBytes is how much of a file tells text from other things.
const sniffBytes = 8000

// sniff says what a file is when it is not text: "an image file" or "a binary
// file"; "" for text. A file that cannot be read is left to the reader.
func sniff(file io.ReaderAt, name string) string {
	head := make([]byte, sniffBytes)
	n, _ := file.ReadAt(head, 0)
	head = head[:n]
	if isImage(head) {
		return "an image file"
	}
	if isBinary(head) {
		switch strings.ToLower(filepath.Ext(name)) {
		case ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ico":
			return "an image file"
		}
		return "a binary file"
	}
	return ""
}

func isBinary(head []byte) bool { return bytes.IndexByte(head, 0) >= 0 }

func isImage(head []byte) bool {
	for _, magic := range []string{"\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF87a", "GIF89a", "II*\x00", "MM\x00*", "\x00\x00\x01\x00"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
}
