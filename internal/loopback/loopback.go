// Package loopback tells whether an address is this machine as only it can see
// itself. Servers for this machine alone ask it of the address that they listen at,
// and of the name by which a request came: a page of another site may have its own
// name lead here, but the request then comes by that name.
package loopback

import (
	"net"
	"strings"
)

// Is reports whether an address or a name, with or without a port, is "localhost" or
// a loopback address. It is in lower case.
func Is(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
