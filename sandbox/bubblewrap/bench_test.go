package bubblewrap_test

import (
	"testing"

	"mlgym/layer"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
)

// BenchmarkCreate makes a sandbox, up to its answering shell, and ends it: with
// nothing mounted, and with the largest layer of this machine.
func BenchmarkCreate(b *testing.B) {
	layers, err := layer.List()
	if err != nil {
		b.Fatal(err)
	}
	specs := map[string]sandbox.Spec{"bare": {}}
	most := int64(0)
	for _, l := range layers {
		if l.Bytes > most {
			most = l.Bytes
			specs["layer"] = sandbox.Spec{
				Mounts: []sandbox.Mount{{Source: l.Dir, Target: layer.Target}}, Path: []string{layer.Bin},
			}
		}
	}
	driver := bubblewrap.New(bubblewrap.Options{})
	for name, spec := range specs {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				box, err := driver.Create(b.Context(), spec)
				if err != nil {
					b.Fatal(err)
				}
				if err := box.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
