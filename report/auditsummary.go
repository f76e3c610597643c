package report

// AuditSummary is what an audit adds to a report.
type AuditSummary struct{}
