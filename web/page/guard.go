package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"mlgym/internal/loopback"
)

// policy is what a page may do: use files of the site. The browser sends reports of
// what was refused nowhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// staticPolicy is the same for pages in a folder, as far as a meta element may say it.
const staticPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'none'; " +
	"form-action 'none'; base-uri 'none'"

// Guard says who may use the site.
type Guard struct {
	// Token that a browser has to show once, as ?token=…, after which it has a
	// cookie; "" where whoever reaches the site may use it, which has to be this
	// machine only: requests by another name than a loopback one are refused then.
	Token string
}

const cookieName = "mlgym_viewer"

// cookie is what a browser keeps in place of the token.
func (g Guard) cookie() string {
	sum := sha256.Sum256([]byte("mlgym viewer\n" + g.Token))
	return hex.EncodeToString(sum[:])
}

// Allowed reports whether a request has the token: in its cookie, or in the
// header of a program.
func (g Guard) Allowed(r *http.Request) bool {
	if g.Token == "" {
		return loopback.Is(strings.ToLower(r.Host))
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return same(given, g.Token)
	}
	c, err := r.Cookie(cookieName)
	return err == nil && same(c.Value, g.cookie())
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// guarded adds the headers of every answer, and keeps out whoever may not look. A
// fault in a handler ends its request only.
func (s *Site) guarded(g Guard, next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				s.opts.Log.Error("a page failed", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				http.Error(w, "an error of the page; the log says more", http.StatusInternalServerError)
			}
		}()
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if given := r.URL.Query().Get("token"); g.Token != "" && given != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			s.logIn(w, r, g, given)
			return
		}
		if !g.Allowed(r) {
			text := "This page is for those with its token: open it once with ?token=TOKEN at the end of the address."
			if g.Token == "" {
				text = "This page is served to this machine only, under a name such as localhost; to serve others, start it with a token."
			}
			http.Error(w, text, http.StatusForbidden)
			return
		}
		if err := origin.Check(r); err != nil {
			http.Error(w, "This request comes from another site.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// logIn trades the token in the address for a cookie, so that it does not stay in the
// history of links that are shared.
func (s *Site) logIn(w http.ResponseWriter, r *http.Request, g Guard, given string) {
	if !same(given, g.Token) {
		http.Error(w, "This is not the token.", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the browser came by TLS
		Name: cookieName, Value: g.cookie(), Path: s.opts.Prefix, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	q := r.URL.Query()
	q.Del("token")
	to := s.opts.Prefix + strings.TrimLeft(r.URL.Path, "/")
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // to begins with our own path
}

// Action guards a request that changes something: it has to be a POST of one of our
// own forms, on a site that allows actions.
func (s *Site) Action(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.Control() {
			http.Error(w, "This page is for looking only; start it with --control to act from it.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
		given := r.Header.Get("X-CSRF-Token")
		if given == "" {
			given = r.PostFormValue("csrf")
		}
		if !same(given, s.csrf) {
			http.Error(w, "This form is out of date: open its page again.", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// compressed packs what a browser reads as text, but for streams.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(4096), gzhttp.ContentTypes([]string{
		"text/html", "text/css", "text/javascript", "text/plain", "text/csv", "application/json", "image/svg+xml",
	}))
	if err != nil {
		panic(err) // the options are constant
	}
	return wrap(next)
}
