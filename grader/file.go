package grader

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// memoryFile is up to which size a submitted file is held in memory.
const memoryFile = 1 << 20

// File is one file of a submission. Its content can be read until the grading
// ends.
type File struct {
	// Path as the task declares it.
	Path  string
	Bytes int64
	// SHA256 of the content, in hexadecimal.
	SHA256 string
	// Executable says of a file of a folder that it may be run.
	Executable bool

	data  []byte // where it is small
	spool string // else the file on the host that holds it
}

// Open returns the content, to be read and closed.
func (f File) Open() (io.ReadCloser, error) {
	if f.spool == "" {
		return io.NopCloser(bytes.NewReader(f.data)), nil
	}
	file, err := os.Open(f.spool)
	if err != nil {
		return nil, fmt.Errorf("submitted file %s: %w", f.Path, err)
	}
	return file, nil
}

// newFile reads a file to its end. What is larger than memory bytes, at least 1, is
// written to spool.
func newFile(path string, content io.Reader, memory int64, spool string) (_ File, err error) {
	sum := sha256.New()
	content = io.TeeReader(content, sum)
	f := File{Path: path}
	f.data, err = io.ReadAll(io.LimitReader(content, memory))
	if err != nil {
		return File{}, err
	}
	f.Bytes = int64(len(f.data))
	if f.Bytes == memory {
		if err := f.spill(content, spool); err != nil {
			return File{}, err
		}
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// spill moves the file to the host's disk and adds what is still to come.
func (f *File) spill(rest io.Reader, spool string) error {
	file, err := os.OpenFile(spool, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a submitted file: %w", err)
	}
	n, err := io.Copy(file, io.MultiReader(bytes.NewReader(f.data), rest))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("keep a submitted file: %w", err)
	}
	f.Bytes, f.spool, f.data = n, spool, nil
	return nil
}
