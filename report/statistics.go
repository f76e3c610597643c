package report

// Statistics are what the published evaluation leaves out.
type Statistics struct{}

// AuditSummary is what an audit adds to a report.
type AuditSummary struct{}

func statistics(*Study, [][][]*Row, Settings) *Statistics { return nil }
