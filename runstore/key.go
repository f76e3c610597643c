package runstore

// ReadGraderKey returns the grader's key of a run, nil where the run was copied
// without it.
func ReadGraderKey(dir string) (GraderKey, error) { return readGraderKey(dir) }
