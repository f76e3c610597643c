package model

// TokenRecord is what a model read and wrote, in the numbers of its own vocabulary,
// as its server says: what a trainer needs, since text that is tokenised once more
// need not come out as the same tokens. Each part is empty where the server does
// not give it.
type TokenRecord struct {
	// PromptIDs are the tokens of the whole request, after the server's template.
	PromptIDs []int `json:"prompt_ids,omitempty"`
	// IDs are the tokens of the answer in order, those that no text shows (the end,
	// a stop sequence) included.
	IDs []int `json:"ids,omitempty"`
	// LogProbs are the natural logarithms of the probabilities of the answer's
	// tokens, as many as IDs where both are there; 0 at most. Servers differ in
	// whether temperature and the like are in them.
	LogProbs []float64 `json:"log_probs,omitempty"`
}

// Complete reports whether the record, which may be nil, has all that a trainer
// needs: both kinds of tokens, and a probability for each that was written.
func (t *TokenRecord) Complete() bool {
	return t != nil && len(t.PromptIDs) > 0 && len(t.IDs) > 0 && len(t.LogProbs) == len(t.IDs)
}

// LossMask says of each token of prompt and answer, in this order, whether the
// model wrote it (1) or read it (0). It is nil where either is not known.
func (t *TokenRecord) LossMask() []int {
	if t == nil || len(t.PromptIDs) == 0 || len(t.IDs) == 0 {
		return nil
	}
	mask := make([]int, len(t.PromptIDs)+len(t.IDs))
	for i := range t.IDs {
		mask[len(t.PromptIDs)+i] = 1
	}
	return mask
}
