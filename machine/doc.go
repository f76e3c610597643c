// Package machine says what a machine has, and lends it to processes of mlgym
// that run side by side: GPUs to one at a time, and memory never more than there
// is. Processors are counted, and shared unless a factor limits them.
//
// A lease is a file that its holder keeps locked. So it survives nothing: the
// kernel lets go of it when the process ends, however that happens, and the next
// one who looks removes the file. Programs that are started do not inherit it.
//
// # What a lease does not know
//
// A sandbox may outlive an mlgym that was killed: those of bubblewrap die with
// it, but docker's and an OCI runtime's may linger, with their memory and GPUs,
// until "mlgym sandbox prune" or the next start ends them. Programs other than
// mlgym claim nothing and are not seen. Leases lie below the user's cache folder,
// in a folder for this start of this machine; so users do not see each other's,
// unless they are given one folder (Options.Dir), and machines that share a cache
// do not mix theirs up.
//
// # Who is next
//
// Claims that wait do so in the order of their coming, for each resource: a later
// one goes first only where it takes nothing that an earlier one waits for. A
// release is noticed at once; the end of a process that released nothing within a
// second, since the kernel tells nobody that a lock is gone. On a network's file
// system, releases by other machines' processes are looked for once a second too.
package machine
