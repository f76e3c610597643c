// Package slurmtest starts a real Slurm cluster for a test: one controller and
// some nodes, on this machine, with everything in one temporary folder, and
// breaks it as real clusters break.
//
//	cluster := slurmtest.Start(t, slurmtest.Options{Nodes: 4, GPUs: 2})
//	client := slurm.NewClient(slurm.Options{Conf: cluster.Conf()})
//	cluster.KillNode("n1")
//
// It needs root, and Debian's packages slurmctld, slurmd, slurm-client and
// munge; a test is skipped, with the reason, where something is missing.
// Nothing is read from or written to /etc, no service is used, no control group,
// and only the loopback is listened to. Several clusters run side by side, also
// of several test programs: ports are reserved by locked files.
//
// # A machine is a process namespace
//
// The controller, the authentication daemon and each node live in a process
// namespace of their own, whose first process is a shell that waits for the end
// of its standard input. That makes three things exact:
//
//   - Power loss: killing the first process makes the kernel kill all others at
//     once, whatever they are, the sandboxes of a job among them.
//   - A frozen node: every process of it can be found, and only those.
//   - The end: the other side of the standard input belongs to the test
//     program. When that is gone, also by SIGKILL, so is the cluster (its folder
//     then stays, a few hundred kilobytes).
//
// What is not simulated: a network that fails between nodes which go on (but see
// [Cluster.CutNode]), shared file systems, confinement by control groups, and
// GPUs: the devices of a node are null devices, good for counting only.
package slurmtest
