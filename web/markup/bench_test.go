package markup_test

import (
	"fmt"
	"strings"
	"testing"

	"mlgym/web/markup"
)

// trainingLog is what a training run prints: 1.8 MB.
func trainingLog() string {
	var out strings.Builder
	for i := 0; out.Len() < 1_800_000; i++ {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&out, "\x1b[32mINFO\x1b[0m epoch %d: <loss> %.4f & accuracy %.3f\n", i, 1/float64(i+1), 0.5)
		case 1:
			for j := range 10 {
				fmt.Fprintf(&out, "\r%3d%%|%s", j*10, strings.Repeat("█", j))
			}
			out.WriteByte('\n')
		default:
			fmt.Fprintf(&out, "  File \"/home/agent/workspace/train.py\", line %d, in step\n", i)
		}
	}
	return out.String()
}

func BenchmarkTerminal(b *testing.B) {
	text := trainingLog()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		markup.Terminal(text)
	}
}

func BenchmarkPlain(b *testing.B) {
	text := trainingLog()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		markup.Plain(text)
	}
}

func BenchmarkFold(b *testing.B) {
	text := trainingLog()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		markup.Fold(text, 40, 8000)
	}
}

const program = `import torch
from torch import nn

@torch.no_grad()
def evaluate(model: nn.Module, batches) -> float:
    """The share of right answers."""
    right = total = 0
    for x, y in batches:  # one pass
        right += (model(x).argmax(-1) == y).sum().item()
        total += len(y)
    return right / total if total else 0.0

`

func BenchmarkCode(b *testing.B) {
	text := strings.Repeat(program, 20)
	markup.Code(text, "a.py")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		markup.Code(text, "a.py")
	}
}

func BenchmarkMarkdown(b *testing.B) {
	text := strings.Repeat("## What I do now\n\nI *think* that `lr` is too large, see [this](https://example.org).\n\n- one\n- two\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n", 100)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		markup.Markdown(text)
	}
}

func BenchmarkDiff(b *testing.B) {
	before := strings.Repeat(program, 50)
	after := strings.ReplaceAll(before, "right", "correct")
	b.SetBytes(int64(len(before)))
	b.ReportAllocs()
	for b.Loop() {
		markup.Diff(before, after)
	}
}
