package hostview

import (
	"fmt"
	"strconv"
	"strings"

	"mlgym/sandbox"
)

// HostName is the machine's name inside.
const HostName = "sandbox"

// EtcFiles are the files of /etc that name the user, who has the number uid, and
// the machine. The tables are those of an image, to which the user is added, or
// nil.
func EtcFiles(uid int, passwd, group []byte) map[string][]byte {
	if passwd == nil {
		passwd = []byte("root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
	}
	if group == nil {
		group = []byte("root:x:0:\nnogroup:x:65534:\n")
	}
	return map[string][]byte{
		"passwd": withoutUser(passwd, fmt.Sprintf("%s:x:%d:%d:%s:%s:/bin/bash\n",
			sandbox.UserName, uid, uid, sandbox.UserName, sandbox.HomeDir)),
		"group":         withoutUser(group, fmt.Sprintf("%s:x:%d:\n", sandbox.UserName, uid)),
		"hosts":         []byte("127.0.0.1 localhost " + HostName + "\n::1 localhost\n"),
		"hostname":      []byte(HostName + "\n"),
		"resolv.conf":   {},
		"nsswitch.conf": []byte("passwd: files\ngroup: files\nhosts: files\n"),
	}
}

// withoutUser drops the lines of whoever has the agent's name or number, and
// puts the agent's first, which decides where he shares the number of root.
func withoutUser(table []byte, own string) []byte {
	out := []byte(own)
	for line := range strings.Lines(string(table)) {
		fields := strings.Split(line, ":")
		if len(fields) > 2 && (fields[0] == sandbox.UserName || fields[2] == strconv.Itoa(sandbox.UserID)) {
			continue
		}
		out = append(out, strings.TrimRight(line, "\n")+"\n"...)
	}
	return out
}
