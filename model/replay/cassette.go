package replay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mlgym/model"
)

// Version is the version of the format that this package writes and reads.
const Version = 1

// format names the format in a cassette's first line.
const format = "mlgym-cassette"

// maxLineBytes bounds a line: a request holds a whole conversation.
const maxLineBytes = 256 << 20

type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// record is one line after the first.
type record struct {
	Key      string          `json:"key"`
	Request  json.RawMessage `json:"request"`
	Response *model.Response `json:"response,omitempty"`
	Error    *failure        `json:"error,omitempty"`
}

// failure is a *model.Error.
type failure struct {
	Kind     model.ErrorKind `json:"kind"`
	Provider string          `json:"provider,omitempty"`
	Status   int             `json:"status,omitempty"`
	Message  string          `json:"message,omitempty"`
}

// Key returns the hash by which a request is found: SHA-256, in hexadecimal, of
// its normalised JSON.
func Key(req *model.Request) (string, error) {
	normal, err := normalise(req)
	if err != nil {
		return "", err
	}
	return key(normal), nil
}

func key(normal []byte) string {
	sum := sha256.Sum256(normal)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// normalise returns the request as JSON with sorted keys, without blanks, without
// the providers' opaque data, and without whether tokens were asked for, which
// changes nothing of the answer. Numbers stay as they are written.
func normalise(req *model.Request) ([]byte, error) {
	plain := *req
	plain.Tokens = false
	plain.Messages = make([]model.Message, len(req.Messages))
	for i, msg := range req.Messages {
		msg.Opaque = nil
		plain.Messages[i] = msg
	}
	raw, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("replay: request: %w", err)
	}
	tree, err := decodeTree(raw)
	if err != nil {
		return nil, fmt.Errorf("replay: request: %w", err)
	}
	return encodeTree(tree)
}

func decodeTree(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	return tree, nil
}

// encodeTree relies on encoding/json sorting the keys of maps.
func encodeTree(tree any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// entry is one recorded exchange.
type entry struct {
	record
	line int
	tree any // the request
}

// cassette is a recording in memory.
type cassette struct {
	name    string
	entries []*entry
	byKey   map[string][]*entry
}

// read decodes a cassette. A torn last line, as a crash leaves it, is ignored;
// anything else that is wrong is an error with its line.
func read(name string, r io.Reader) (*cassette, error) {
	c := &cassette{name: name, byKey: map[string][]*entry{}}
	reader := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := readLine(reader)
		if errors.Is(err, io.EOF) && len(text) == 0 {
			if line == 1 {
				return nil, fmt.Errorf("%s: the cassette is empty", name)
			}
			return c, nil
		}
		torn := errors.Is(err, io.EOF)
		if err != nil && !torn {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if line == 1 {
			if err := checkHeader(text); err != nil {
				return nil, fmt.Errorf("%s:1: %w", name, err)
			}
			continue
		}
		e, err := parseRecord(text)
		switch {
		case err != nil && torn:
			return c, nil
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		e.line = line
		c.entries = append(c.entries, e)
		c.byKey[e.Key] = append(c.byKey[e.Key], e)
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLineBytes {
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLineBytes)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func checkHeader(text []byte) error {
	var h header
	if err := json.Unmarshal(text, &h); err != nil || h.Format != format {
		return fmt.Errorf("not a cassette: the first line is not {\"format\":%q,\"version\":%d}", format, Version)
	}
	if h.Version != Version {
		return fmt.Errorf("the cassette has version %d; this program reads version %d", h.Version, Version)
	}
	return nil
}

func parseRecord(text []byte) (*entry, error) {
	e := &entry{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e.record); err != nil {
		return nil, fmt.Errorf("not a record: %w", err)
	}
	if (e.Response == nil) == (e.Error == nil) {
		return nil, errors.New("a record has either a response or an error")
	}
	tree, err := decodeTree(e.Request)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	normal, err := encodeTree(tree)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if want := key(normal); e.Key != want {
		return nil, fmt.Errorf("the key is %q but the request's is %q; was the request edited?", e.Key, want)
	}
	e.tree = tree
	return e, nil
}
