package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mlgym/internal/atomicfile"
)

// Bounds of a download.
const (
	tries    = 5
	stall    = 60 * time.Second // without a byte
	maxPause = 30 * time.Second
)

// remote is one file to be had.
type remote struct {
	name   string // for people
	url    string
	sha256 string // "" where not known
	bytes  int64  // 0 where not known
	header http.Header
}

// known is what the store remembers of an address whose digest nobody has
// written down: that of its first download.
type known struct {
	URL    string    `json:"url"`
	SHA256 string    `json:"sha256"`
	Bytes  int64     `json:"bytes"`
	At     time.Time `json:"at"`
}

// partial says what the beginning of a file belongs to.
type partial struct {
	URL  string `json:"url"`
	ETag string `json:"etag,omitempty"`
}

// DigestError says that a file is not the one that it should be.
type DigestError struct{ Name, Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s: its SHA-256 is %s, not %s: the file is damaged, or another one than it was", e.Name, e.Got, e.Want)
}

// download brings a file into the store and returns its path and what it is. A
// download that was cut goes on where it stopped.
func (s *Store) download(ctx context.Context, r remote, tell func(Event)) (string, SourceFile, error) {
	memory := filepath.Join(s.dir, "urls", hexDigest([]byte(r.url))+".json")
	if r.sha256 == "" {
		var k known
		if text, err := os.ReadFile(memory); err == nil && json.Unmarshal(text, &k) == nil && digestPattern.MatchString(k.SHA256) {
			r.sha256, r.bytes = k.SHA256, k.Bytes
		}
	}
	if r.sha256 != "" {
		if info, err := os.Stat(s.blob(r.sha256)); err == nil && info.Mode().IsRegular() {
			return s.blob(r.sha256), SourceFile{URL: r.url, SHA256: r.sha256, Bytes: info.Size()}, nil
		}
	}
	part := filepath.Join(s.dir, "partial", hexDigest([]byte(r.url)))
	for _, dir := range []string{"urls", "partial", "blobs"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil { //nolint:gosec // other users' sandboxes read the store
			return "", SourceFile{}, explainDisk(err)
		}
	}
	var err error
	for try := range tries {
		if try > 0 {
			pause := min(time.Second<<(try-1), maxPause)
			tell(Event{Text: fmt.Sprintf("%s: %v; trying again in %s", r.name, err, pause)})
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return "", SourceFile{}, context.Cause(ctx)
			}
		}
		if err = s.transfer(ctx, r, part, tell); err == nil || !again(err) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return "", SourceFile{}, fmt.Errorf("%s: %w", r.name, err)
	}
	got, size, err := digestFile(part)
	if err != nil {
		return "", SourceFile{}, err
	}
	if r.sha256 != "" && got != r.sha256 {
		// Nothing of it can be used: the next try begins anew.
		err := error(&DigestError{r.name, r.sha256, got})
		return "", SourceFile{}, errors.Join(err, os.Remove(part), os.Remove(part+".json"))
	}
	if err := errors.Join(os.Chmod(part, 0o444), os.Rename(part, s.blob(got)), os.Remove(part+".json")); err != nil { //nolint:gosec // other users' sandboxes read the store
		return "", SourceFile{}, err
	}
	text, err := json.MarshalIndent(known{r.url, got, size, time.Now().UTC()}, "", "  ")
	if err == nil {
		err = atomicfile.WriteFile(memory, append(text, '\n'), 0o644)
	}
	return s.blob(got), SourceFile{URL: r.url, SHA256: got, Bytes: size}, err
}

// transientError marks what another try may mend.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

func again(err error) bool {
	var t transientError
	return errors.As(err, &t)
}

// unreachable says in few words why a server gave no answer. A name that is not
// known will not be known in a moment either: there is no network, most often.
func unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Errorf("the host %s is not known here: is there a network?", dns.Name)
	}
	return transientError{err}
}

// transfer fetches what is still missing of a file.
func (s *Store) transfer(ctx context.Context, r remote, part string, tell func(Event)) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stall, func() { cancel(transientError{fmt.Errorf("nothing came for %s", stall)}) })
	defer stalled.Stop()

	var before partial
	if text, err := os.ReadFile(part + ".json"); err == nil {
		_ = json.Unmarshal(text, &before) // what cannot be read belongs to nothing
	}
	var have int64
	if info, err := os.Stat(part); err == nil && before.URL == r.url {
		have = info.Size()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, r.header)
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if before.ETag != "" {
			req.Header.Set("If-Range", before.ETag)
		}
	}
	resp, err := s.opts.Client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return unreachable(err)
	}
	defer resp.Body.Close()
	total := int64(0)
	switch resp.StatusCode {
	case http.StatusOK:
		have, total = 0, resp.ContentLength
	case http.StatusPartialContent:
		start, whole, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || start != have {
			return errors.Join(transientError{fmt.Errorf("the server sent the range %q", resp.Header.Get("Content-Range"))}, os.Remove(part+".json"))
		}
		total = whole
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(transientError{errors.New("the partial file is no part of it any more")}, os.Remove(part+".json"))
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the server refuses (%s); for a repository with rules, accept them there and set HF_TOKEN", resp.Status)
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return transientError{fmt.Errorf("the server answers %s", resp.Status)}
	default:
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	if r.bytes > 0 && total > 0 && total != r.bytes {
		return fmt.Errorf("it has %d bytes there, and should have %d", total, r.bytes)
	}
	if err := s.needSpace(max(total, r.bytes) - have); err != nil {
		return err
	}
	text, err := json.Marshal(partial{r.url, resp.Header.Get("ETag")})
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(part+".json", text, 0o644); err != nil {
		return explainDisk(err)
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if have == 0 {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(part, flags, 0o644) //nolint:gosec // other users' sandboxes read the store
	if err != nil {
		return explainDisk(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	done := have
	buf := make([]byte, 256<<10)
	for {
		n, readErr := resp.Body.Read(buf)
		if n > 0 {
			stalled.Reset(stall)
			if _, err := file.Write(buf[:n]); err != nil {
				return explainDisk(err)
			}
			done += int64(n)
			tell(Event{Text: "fetching " + r.name, Done: done, Total: max(total, 0), Bytes: true})
		}
		switch {
		case errors.Is(readErr, io.EOF):
			if total > 0 && done != total {
				return transientError{fmt.Errorf("the connection ended after %d of %d bytes", done, total)}
			}
			return nil
		case readErr != nil:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return transientError{readErr}
		}
	}
}

// contentRange reads "bytes 100-199/200"; whole is 0 where the server does not
// tell it.
func contentRange(text string) (start, whole int64, ok bool) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, false
	}
	from, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if size != "*" {
		if whole, err = strconv.ParseInt(size, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	return start, whole, true
}

// blob is where a file of this content lies.
func (s *Store) blob(sha256 string) string { return filepath.Join(s.dir, "blobs", sha256) }

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// digestFile returns SHA-256 and size of a regular file.
func digestFile(name string) (string, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", 0, errors.Join(fmt.Errorf("%s is not a regular file: %w", name, fs.ErrInvalid), err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), n, err
}
