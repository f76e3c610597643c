// Package sandbox is the contract of an isolated computer: a [Driver] creates
// a [Sandbox], in which programs run that nobody trusts.
//
// Every sandbox has, whatever its driver: no network, no file and no variable
// of the host beyond what its [Spec] names, its own process tree, a user that
// is not root outside, and limits on memory, processes, processor time, disk
// and output. Everything in it ends when it is closed, and also when the
// process that created it is killed. A driver that cannot enforce one of these
// on the machine at hand says so in [Capabilities].
//
// The sandbox's first process is mlgym-shim, which speaks to this side over
// the standard input and output of the sandbox. It lives in the world of the
// program it watches, so nothing that it reports is evidence of anything but
// that program's behaviour; what must be trusted (processor time, for one) is
// read from outside through [Meter].
//
// The package imports none of ours. Drivers import it and internal/shim only.
package sandbox
