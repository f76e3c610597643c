package slurm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrantFromEnviron(t *testing.T) {
	for _, tc := range []struct {
		name    string
		environ []string
		want    Grant
	}{
		{"nothing is said", []string{"HOME=/"}, Grant{GPUs: []int{}}},
		{
			"a job without GPUs",
			[]string{"SLURM_CPUS_PER_TASK=3", "SLURM_CPUS_ON_NODE=4", "SLURM_MEM_PER_NODE=2000"},
			Grant{CPUs: 3, MemoryBytes: 2000 << 20, GPUs: []int{}},
		},
		{"memory by processor", []string{"SLURM_CPUS_ON_NODE=4", "SLURM_MEM_PER_CPU=500"}, Grant{CPUs: 4, MemoryBytes: 2000 << 20, GPUs: []int{}}},
		{"all memory of the node", []string{"SLURM_MEM_PER_NODE=0"}, Grant{GPUs: []int{}}},
		{"GPUs by their numbers on the node", []string{"SLURM_JOB_GPUS=2,5", "CUDA_VISIBLE_DEVICES=0,1"}, Grant{GPUs: []int{2, 5}}},
		{"a range of GPUs", []string{"SLURM_JOB_GPUS=1-3"}, Grant{GPUs: []int{1, 2, 3}}},
		{"an older Slurm", []string{"CUDA_VISIBLE_DEVICES=1"}, Grant{GPUs: []int{1}}},
		{"no devices", []string{"CUDA_VISIBLE_DEVICES=NoDevFiles"}, Grant{GPUs: []int{}}},
		{"slices, which have names", []string{"CUDA_VISIBLE_DEVICES=MIG-0a1b"}, Grant{}},
	} {
		if diff := cmp.Diff(tc.want, GrantFromEnviron(tc.environ)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
