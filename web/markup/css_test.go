package markup_test

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mlgym/web/markup"
)

var (
	rulePattern = regexp.MustCompile(`(?m)^([^{}\n/]+)\{([^}]*)\}$`)
	pairPattern = regexp.MustCompile(`^(background-)?color:light-dark\((#[0-9a-f]{6}),(#[0-9a-f]{6})\)$`)
)

// luminance follows WCAG 2.2.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

// TestContrast compares every colour of text with every background, on light
// and on dark pages.
func TestContrast(t *testing.T) {
	pages := [2][]string{{"#ffffff", "#f6f7f9"}, {"#14171c", "#1b1f26"}}
	inks, papers := [2]map[string]string{{}, {}}, [2]map[string]string{{}, {}}
	for theme, list := range pages {
		for _, colour := range list {
			papers[theme][colour] = "the page"
		}
	}
	for _, rule := range rulePattern.FindAllStringSubmatch(string(markup.CSS()), -1) {
		for declaration := range strings.SplitSeq(rule[2], ";") {
			if !strings.HasPrefix(declaration, "color:") && !strings.HasPrefix(declaration, "background-color:") {
				continue
			}
			m := pairPattern.FindStringSubmatch(declaration)
			if m == nil {
				t.Fatalf("%s: %s: not understood", rule[1], declaration)
			}
			for theme := range pages {
				into := inks[theme]
				if m[1] != "" {
					into = papers[theme]
				}
				into[m[2+theme]] = rule[1]
			}
		}
	}
	for theme := range pages {
		if len(inks[theme]) < 50 || len(papers[theme]) < 50 {
			t.Fatalf("theme %d has %d colours of text and %d of backgrounds; this test cannot fail any more", theme, len(inks[theme]), len(papers[theme]))
		}
		worst := math.Inf(1)
		light := map[string]float64{}
		for _, colours := range []map[string]string{inks[theme], papers[theme]} {
			for colour := range colours {
				light[colour] = luminance(t, colour)
			}
		}
		for ink, who := range inks[theme] {
			for paper, where := range papers[theme] {
				c := contrast(light[ink], light[paper])
				worst = min(worst, c)
				if c < 4.5 {
					t.Errorf("theme %d: %s (%s) on %s (%s): contrast %.2f", theme, ink, who, paper, where, c)
				}
			}
		}
		t.Logf("theme %d: %d × %d pairs, the least contrast is %.2f", theme, len(inks[theme]), len(papers[theme]), worst)
	}
}

// TestEveryClassHasARule finds classes in the HTML that the sheet does not know.
func TestEveryClassHasARule(t *testing.T) {
	css := string(markup.CSS())
	var page strings.Builder
	for _, text := range hostile {
		for _, name := range []string{"a.py", "a.html", "bash", "diff", "md", "go"} {
			page.WriteString(string(markup.Code(text, name)))
		}
		page.WriteString(string(markup.Diff(text, "x"+text)) + string(markup.Markdown(text)) + string(markup.Terminal(text)))
	}
	page.WriteString(string(markup.Code(program, "a.py")) + string(markup.Terminal("\x1b[1;2;3;4;7;9mx\x1b[0;31;44my")))
	page.WriteString(string(markup.Markdown("|a|b|\n|-:|:-:|\n|c|d|")) + string(markup.Diff("a", strings.Repeat("b", 5000))))
	known, seen := 0, map[string]bool{}
	plain := []string{"diff-same", "diff-added", "diff-removed", "diff-hunk", "code"} // parts of selectors, or as the page has it
	for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllStringSubmatch(page.String(), -1) {
		for class := range strings.FieldsSeq(m[1]) {
			if seen[class] {
				continue
			}
			seen[class] = true
			known++
			if !regexp.MustCompile(`\.`+class+`[^a-z0-9-]`).MatchString(css) && !slices.Contains(plain, class) {
				t.Errorf("no rule for the class %q", class)
			}
		}
	}
	if known < 20 {
		t.Errorf("only %d classes were found; this test cannot fail any more", known)
	}
}

func TestStyleSheetNeedsNothing(t *testing.T) {
	css := string(markup.CSS())
	if strings.Contains(css, "url(") || strings.Contains(css, "@import") || strings.Count(css, "{") != strings.Count(css, "}") {
		t.Error("the sheet loads something, or its braces do not match")
	}
	copied := markup.CSS()
	copied[0] = 'x'
	if markup.CSS()[0] == 'x' {
		t.Error("a caller can change the sheet of another")
	}
	t.Logf("%d bytes", len(css))
}
