package redact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Mask stands where a secret was recognised by its form. A secret that was
// known by name is replaced by "[redacted:NAME]".
const Mask = "[redacted]"

// minSecret is the shortest value that is taken for a secret. Shorter ones
// ("1", "test") would tear holes into ordinary text and protect nothing.
const minSecret = 8

// Secret is a value that must not be written, with the name by which a person
// finds it, such as the environment variable that held it.
type Secret struct{ Name, Value string }

// Redactor replaces secrets in text. The nil Redactor changes nothing. It is
// safe for concurrent use.
type Redactor struct {
	secrets []Secret
	forms   []form
}

// New makes a Redactor of the given secrets and of the forms that keys of
// well-known providers have. Values shorter than 8 bytes are left out.
func New(secrets ...Secret) *Redactor {
	return (&Redactor{forms: knownForms()}).With(secrets...)
}

// With returns a Redactor that knows further secrets. The nil Redactor may be
// asked, and gives one that knows these only.
func (r *Redactor) With(secrets ...Secret) *Redactor {
	old := r
	r = &Redactor{}
	if old != nil {
		r.forms, r.secrets = old.forms, slices.Clone(old.secrets)
	}
	for _, s := range secrets {
		if len(s.Value) >= minSecret {
			r.secrets = append(r.secrets, s)
		}
	}
	// A secret that contains another one goes first.
	slices.SortStableFunc(r.secrets, func(a, b Secret) int {
		return cmp.Compare(len(b.Value), len(a.Value))
	})
	return r
}

// FromEnviron picks from an environment ("NAME=value") the variables whose
// names say that they hold a secret.
func FromEnviron(environ []string) []Secret {
	var found []Secret
	for _, line := range environ {
		name, value, ok := strings.Cut(line, "=")
		if ok && secretName(name) && len(value) >= minSecret {
			found = append(found, Secret{name, value})
		}
	}
	return found
}

func secretName(name string) bool {
	name = strings.ToUpper(name)
	for _, end := range []string{"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"} {
		if name == end || strings.HasSuffix(name, "_"+end) || strings.HasSuffix(name, "API"+end) {
			return true
		}
	}
	return false
}

// String returns s without secrets.
func (r *Redactor) String(s string) string {
	if r == nil {
		return s
	}
	for _, secret := range r.secrets {
		if strings.Contains(s, secret.Value) {
			mask := Mask
			if secret.Name != "" {
				mask = "[redacted:" + secret.Name + "]"
			}
			s = strings.ReplaceAll(s, secret.Value, mask)
		}
	}
	for _, f := range r.forms {
		s = f.replace(s)
	}
	return s
}

// JSON returns valid JSON text without secrets in any of its strings, object
// keys included. Everything else stays as it is, byte for byte.
func (r *Redactor) JSON(text []byte) []byte {
	if r == nil {
		return text
	}
	var out []byte // nil until something changed
	copied := 0
	for i := 0; i < len(text); {
		if text[i] != '"' {
			next := bytes.IndexByte(text[i:], '"')
			if next < 0 {
				break
			}
			i += next
			continue
		}
		end := stringEnd(text, i)
		literal := text[i:end]
		if clean, changed := r.literal(literal); changed {
			out = append(out, text[copied:i]...)
			out = append(out, clean...)
			copied = end
		}
		i = end
	}
	if out == nil {
		return text
	}
	return append(out, text[copied:]...)
}

// stringEnd returns the index after the string literal that begins at start.
func stringEnd(text []byte, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func (r *Redactor) literal(literal []byte) (clean []byte, changed bool) {
	if len(literal) < minSecret {
		return nil, false
	}
	var s string
	if json.Unmarshal(literal, &s) != nil {
		return nil, false
	}
	redacted := r.String(s)
	if redacted == s {
		return nil, false
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(redacted) != nil {
		return []byte(`"` + Mask + `"`), true // unreachable: a string always encodes
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), true
}

// form is how keys of a provider look: a prefix, then characters of a token.
type form struct {
	prefix string
	// min is the smallest number of characters after the prefix.
	min int
	// keepPrefix says that the prefix is ordinary text that stays.
	keepPrefix bool
}

func knownForms() []form {
	return []form{
		{prefix: "sk-", min: 20},         // OpenAI, Anthropic, DeepSeek, OpenRouter …
		{prefix: "sk_", min: 20},         // several others
		{prefix: "AIza", min: 30},        // Google
		{prefix: "gsk_", min: 20},        // Groq
		{prefix: "xai-", min: 20},        // xAI
		{prefix: "hf_", min: 20},         // Hugging Face
		{prefix: "r8_", min: 20},         // Replicate
		{prefix: "nvapi-", min: 20},      // NVIDIA
		{prefix: "ghp_", min: 30},        // GitHub
		{prefix: "gho_", min: 30},        // GitHub
		{prefix: "ghs_", min: 30},        // GitHub
		{prefix: "github_pat_", min: 30}, // GitHub
		{prefix: "glpat-", min: 20},      // GitLab
		{prefix: "AKIA", min: 16},        // AWS
		{prefix: "Bearer ", min: 20, keepPrefix: true},
	}
}

// replace masks every whole token of the form. A token counts when it stands
// alone and has a digit, so that prose such as "sk-learn-contrib-something"
// stays.
func (f form) replace(s string) string {
	at := strings.Index(s, f.prefix)
	if at < 0 {
		return s
	}
	var out strings.Builder
	for at >= 0 {
		begin := at + len(f.prefix)
		end := begin
		digit := false
		for end < len(s) && tokenByte(s[end]) {
			digit = digit || s[end] >= '0' && s[end] <= '9'
			end++
		}
		switch {
		case at > 0 && tokenByte(s[at-1]), end-begin < f.min, !digit:
			out.WriteString(s[:end])
		case f.keepPrefix:
			out.WriteString(s[:begin])
			out.WriteString(Mask)
		default:
			out.WriteString(s[:at])
			out.WriteString(Mask)
		}
		s = s[end:]
		at = strings.Index(s, f.prefix)
	}
	out.WriteString(s)
	return out.String()
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
