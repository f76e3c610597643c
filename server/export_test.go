package server

import "time"

// SetWaits says how long a client may take to send headers and a body.
func (s *Server) SetWaits(header, body time.Duration) {
	s.http.ReadHeaderTimeout, s.bodyWait = header, body
}
