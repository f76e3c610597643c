package model

// Estimator foresees what a request takes at most, from its length in bytes and
// from what it has seen. The zero value is usable. It is not safe for concurrent
// use.
//
// Where an answer's length is limited, and text takes no more tokens per byte
// than it took before, the estimate is an upper bound. Text of another kind
// (after English, say, base64 or Chinese) can exceed it, by one request.
type Estimator struct {
	// perByte is the largest number of input tokens per byte of a request that
	// was seen.
	perByte float64
	// longest answer seen, in tokens.
	longest int64
}

const (
	// firstPerByte is assumed before the first answer: English and code take
	// about 4 bytes a token; 3 leaves a margin.
	firstPerByte = 1.0 / 3
	// firstAnswer is the assumed length of an answer whose length nothing
	// limits, until a longer one was seen.
	firstAnswer = 1024
)

// Worst returns what a request takes if its answer becomes as long as it may:
// [Request.MaxTokens], or, where that is 0, as long as the longest that was seen,
// 1024 tokens at least.
func (e *Estimator) Worst(req *Request) Usage {
	perByte := e.perByte
	if perByte == 0 {
		perByte = firstPerByte
	}
	answer := int64(req.MaxTokens)
	if answer == 0 {
		answer = max(firstAnswer, e.longest)
	}
	return Usage{InputTokens: int64(float64(size(req))*perByte) + 1, OutputTokens: answer}
}

// Learn takes an answer to a request into account.
func (e *Estimator) Learn(req *Request, usage Usage) {
	e.LearnAnswer(usage)
	if usage.InputTokens > 0 {
		e.perByte = max(e.perByte, float64(usage.InputTokens)/float64(size(req)))
	}
}

// LearnAnswer is Learn where the request is not known any more.
func (e *Estimator) LearnAnswer(usage Usage) { e.longest = max(e.longest, usage.OutputTokens) }

// Total is the number of tokens in and out.
func (u Usage) Total() int64 { return u.InputTokens + u.OutputTokens }

// size of a request in bytes, with a few for the framing of each message.
func size(req *Request) int {
	const framing = 16
	n := framing
	for _, m := range req.Messages {
		n += framing + len(m.Text) + len(m.Opaque)
		for _, c := range m.ToolCalls {
			n += framing + len(c.Name) + len(c.Args)
		}
	}
	for _, t := range req.Tools {
		n += framing + len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	return n
}
