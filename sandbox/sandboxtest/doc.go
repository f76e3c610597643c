// Package sandboxtest is the conformance suite of sandboxes: what every driver
// has to do and, with an attack for each claim, what nothing inside may do.
//
// A driver's test is
//
//	func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }
//
//	func TestConformance(t *testing.T) {
//		sandboxtest.Run(t, sandboxtest.Harness{
//			New: func(*testing.T) sandbox.Driver { return mydriver.New(mydriver.Options{}) },
//		})
//	}
//
// The suite asks the driver what it can enforce on the machine at hand
// ([sandbox.Prober]). What it says it cannot ("none") is skipped out loud; what
// it says it can is tried by breaking it. Programs inside need bash, coreutils
// and python3.
//
// To test the end of an owner that is killed, the suite starts the test binary
// again with the name of the test; so Run must be reached unconditionally.
package sandboxtest
