package slurm

import (
	"slices"
	"strings"
)

// State is what Slurm believes of a task. The constants are Slurm's own words;
// a state that a newer Slurm has invented stays as it was read.
type State string

// The states of tasks.
const (
	Pending      State = "PENDING"
	Configuring  State = "CONFIGURING" // its node is being started
	Running      State = "RUNNING"
	Suspended    State = "SUSPENDED"
	Stopped      State = "STOPPED"
	Signaling    State = "SIGNALING"
	StageOut     State = "STAGE_OUT"
	Completing   State = "COMPLETING" // ended, being cleared up; or about to be requeued
	Requeued     State = "REQUEUED"
	RequeueHold  State = "REQUEUE_HOLD" // waits for `scontrol release`
	SpecialExit  State = "SPECIAL_EXIT" // likewise
	Completed    State = "COMPLETED"    // exit code 0
	Failed       State = "FAILED"       // another exit code
	Cancelled    State = "CANCELLED"
	Timeout      State = "TIMEOUT"
	Deadline     State = "DEADLINE"
	NodeFail     State = "NODE_FAIL"
	BootFail     State = "BOOT_FAIL"
	LaunchFailed State = "LAUNCH_FAILED"
	Preempted    State = "PREEMPTED"
	OutOfMemory  State = "OUT_OF_MEMORY"
	Revoked      State = "REVOKED" // runs in another cluster of the federation
	// Unknown is a task that Slurm has forgotten, or never knew.
	Unknown State = "UNKNOWN"
)

var ended = []State{
	Completed, Failed, Cancelled, Timeout, Deadline, NodeFail, BootFail, LaunchFailed, Preempted, OutOfMemory, Revoked, Unknown,
}

// Ended says that Slurm will not run the task again by itself. That includes
// Unknown: what Slurm does not know, it does not run.
func (s State) Ended() bool { return slices.Contains(ended, s) }

// Retryable says that a task ended for a reason that lies outside its program,
// so that submitting it again can lead elsewhere. Failed and OutOfMemory are not
// among them: the same program with the same limits would fail again.
func (s State) Retryable() bool {
	return slices.Contains([]State{Timeout, NodeFail, BootFail, LaunchFailed, Preempted, Revoked, Unknown}, s)
}

// parseState reads a state as squeue and sacct write it: "CANCELLED by 1000",
// "PENDING+" where a column was too narrow.
func parseState(text string) State {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	word = strings.ToUpper(strings.TrimSuffix(word, "+"))
	if word == "" {
		return Unknown
	}
	return State(word)
}

// stuck are the reasons of pending tasks that time alone does not cure. Slurm
// writes some of them in more than one way.
var stuck = []string{
	"JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue", "launch_failed_requeued_held", "DependencyNeverSatisfied",
	"BadConstraints", "InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSNotAllowed", "PartitionNodeLimit",
	"PartitionTimeLimit", "PartitionConfig", "ReservationDeleted", "AssocMaxCpuPerJobLimit", "QOSMaxCpuPerJobLimit",
	"QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit", "QOSMaxMemoryPerJob", "QOSMaxGRESPerJob",
}

// Stuck says that a pending task waits for a person: it is held, or asks for what
// the cluster does not give. Reason says which.
func (t Task) Stuck() bool {
	if t.State == RequeueHold || t.State == SpecialExit {
		return true
	}
	reason := strings.ReplaceAll(strings.Trim(t.Reason, "()"), " ", "_")
	return t.State == Pending && slices.ContainsFunc(stuck, func(known string) bool { return strings.EqualFold(known, reason) })
}
