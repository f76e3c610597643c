package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
)

func TestTokenRecord(t *testing.T) {
	for _, tt := range []struct {
		name     string
		record   *model.TokenRecord
		complete bool
		mask     []int
	}{
		{"none", nil, false, nil},
		{"all", &model.TokenRecord{PromptIDs: []int{7, 8}, IDs: []int{9, 0, 1}, LogProbs: []float64{-1, 0, -2}}, true, []int{0, 0, 1, 1, 1}},
		{"without the prompt", &model.TokenRecord{IDs: []int{9}, LogProbs: []float64{-1}}, false, nil},
		{"without probabilities", &model.TokenRecord{PromptIDs: []int{7}, IDs: []int{9}}, false, []int{0, 1}},
		{"probabilities alone", &model.TokenRecord{LogProbs: []float64{-1}}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.record.Complete(); got != tt.complete {
				t.Errorf("complete: %v, want %v", got, tt.complete)
			}
			if diff := cmp.Diff(tt.mask, tt.record.LossMask()); diff != "" {
				t.Errorf("loss mask (-want +got)\n%s", diff)
			}
		})
	}
}
