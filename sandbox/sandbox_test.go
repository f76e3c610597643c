package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"mlgym/sandbox"
)

func TestCheckRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, spec := range map[string]sandbox.Spec{
		"an id with spaces":              {ID: "a b"},
		"an id with a path":              {ID: "../x"},
		"a relative target":              {Mounts: []sandbox.Mount{{Source: folder, Target: "x"}}},
		"dots":                           {Mounts: []sandbox.Mount{{Source: folder, Target: "/a/../../x"}}},
		"the root":                       {Mounts: []sandbox.Mount{{Source: folder, Target: "/"}}},
		"the processes":                  {Mounts: []sandbox.Mount{{Source: folder, Target: "/proc/1"}}},
		"the devices":                    {Mounts: []sandbox.Mount{{Source: folder, Target: "/dev/x"}}},
		"the shim":                       {Mounts: []sandbox.Mount{{Source: folder, Target: sandbox.ShimDir}}},
		"the home":                       {Mounts: []sandbox.Mount{{Source: folder, Target: sandbox.HomeDir}}},
		"the workspace":                  {Mounts: []sandbox.Mount{{Source: folder, Target: sandbox.WorkDir}}},
		"an unclean target":              {Mounts: []sandbox.Mount{{Source: folder, Target: "/a//b"}}},
		"a relative folder of programs":  {Path: []string{"bin"}},
		"two folders of programs as one": {Path: []string{"/a:/b"}},
		"a GPU below zero":               {GPUs: []int{-1}},
		"a GPU twice":                    {GPUs: []int{1, 0, 1}},
		"a link of the system":           {Links: map[string]string{"/usr/x": "/home/agent/x"}},
		"a relative link":                {Links: map[string]string{"app": "/home/agent/x"}},
		"a link that is the root":        {Links: map[string]string{"/": "/home/agent/x"}},
		"a link out of the home":         {Links: map[string]string{"/app": "/etc"}},
		"a link by dots":                 {Links: map[string]string{"/app": "/home/agent/../../etc"}},
		"a link behind a link":           {Links: map[string]string{"/app": "/home/agent/x", "/app/y": "/home/agent/y"}},
		"a mount behind a link":          {Links: map[string]string{"/app": "/home/agent/x"}, Mounts: []sandbox.Mount{{Source: folder, Target: "/app/y"}}},
		"a source that is none":          {Mounts: []sandbox.Mount{{Source: filepath.Join(folder, "none"), Target: "/a"}}},
		"a source that is a pipe":        {Mounts: []sandbox.Mount{{Source: os.DevNull, Target: "/a"}}},
	} {
		if _, err := spec.Check(); err == nil {
			t.Errorf("%s: %+v was accepted", name, spec)
		}
	}
}

func TestCheckFollowsLinksOnce(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(folder)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sandbox.Spec{ID: "abc123", Mounts: []sandbox.Mount{{Source: link, Target: "/data"}}}.Check()
	if err != nil || len(got) != 1 || got[0].Source != want {
		t.Errorf("Check gave %v, %v; want the source %s", got, err, want)
	}
}
