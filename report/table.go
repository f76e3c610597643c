package report

import (
	"bytes"
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// Table is a table as text.
type Table struct {
	// Name is that of its file; Title and About stand above it.
	Name, Title, About string
	Definition         Definition
	Header             []string
	Rows               [][]string

	// Text is the number of leading columns that hold text.
	Text int
	// Strong cells, by row and column, stand out.
	Strong map[[2]int]bool
}

// WriteCSV writes the table as comma-separated values, lines ending in \n.
func (t *Table) WriteCSV(w io.Writer) error {
	cw := csv.NewWriter(w)
	if err := cw.Write(t.Header); err != nil {
		return err
	}
	if err := cw.WriteAll(t.Rows); err != nil {
		return err
	}
	return cw.Error()
}

// WriteMarkdown writes the table in GitHub's form, without its title.
func (t *Table) WriteMarkdown(w io.Writer) error {
	var bw bytes.Buffer
	line := func(cells []string) {
		bw.WriteString("|")
		for _, c := range cells {
			c = strings.NewReplacer("|", `\|`, "\n", " ").Replace(c)
			bw.WriteString(" " + c + " |")
		}
		bw.WriteString("\n")
	}
	line(t.Header)
	rule := make([]string, len(t.Header))
	for i := range rule {
		if rule[i] = "---"; i >= max(t.Text, 1) {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, r := range t.Rows {
		line(r)
	}
	_, err := bw.WriteTo(w)
	return err
}

// WriteLaTeX writes the table as a table environment that needs the package
// booktabs.
func (t *Table) WriteLaTeX(w io.Writer) error {
	var bw bytes.Buffer
	columns := strings.Repeat("l", max(t.Text, 1))
	if rest := len(t.Header) - max(t.Text, 1); rest > 0 {
		columns += strings.Repeat("r", rest)
	}
	caption := t.Title
	if t.Definition != "" {
		caption += " (definitions: " + string(t.Definition) + ")"
	}
	bw.WriteString("% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n\\caption{" + latex(caption) + "}\n")
	label := t.Name
	if t.Definition != "" {
		label += "-" + string(t.Definition)
	}
	bw.WriteString("\\label{tab:" + label + "}\n\\begin{tabular}{" + columns + "}\n\\toprule\n")
	line := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				bw.WriteString(" & ")
			}
			bw.WriteString(latex(c))
		}
		bw.WriteString(" \\\\\n")
	}
	line(t.Header)
	bw.WriteString("\\midrule\n")
	for _, r := range t.Rows {
		line(r)
	}
	bw.WriteString("\\bottomrule\n\\end{tabular}\n\\end{table}\n")
	_, err := bw.WriteTo(w)
	return err
}

var latexEscapes = strings.NewReplacer(
	`\`, `\textbackslash{}`, `&`, `\&`, `%`, `\%`, `$`, `\$`, `#`, `\#`, `_`, `\_`,
	`{`, `\{`, `}`, `\}`, `~`, `\textasciitilde{}`, `^`, `\textasciicircum{}`, "\n", " ",
	"–", "--", "τ", `$\tau$`, "≤", `$\leq$`, "≥", `$\geq$`, "±", `$\pm$`, "−", "--",
)

func latex(s string) string { return latexEscapes.Replace(s) }

// Tables are the tables of the published evaluation, in the given definition:
// ids in place of names, as its files have it.
func (r *Report) Tables(d Definition) []*Table {
	n := r.Definitions[d]
	if n == nil {
		return nil
	}
	return []*Table{
		r.scoreTable(n, d, Best), r.scoreTable(n, d, Last),
		r.rankTable(n, d, Best), r.rankTable(n, d, Last), r.aupTable(n, d),
	}
}

var kindTitle = map[Kind]string{Best: "best attempt", Last: "best submission"}

func (r *Report) scoreTable(n *Numbers, d Definition, k Kind) *Table {
	t := &Table{
		Name: string(k) + "_scores", Title: "Scores, " + kindTitle[k] + " of all runs", Definition: d,
		Header: []string{"Task", BaselineID}, Text: 1,
	}
	for _, m := range r.Models {
		t.Header = append(t.Header, m.ID)
	}
	for ti, task := range r.Tasks {
		scores := n.scores.of(k)[ti]
		row := []string{task.Name, plain(decimalRound(scores[len(r.Models)]))}
		for m := range r.Models {
			row = append(row, plain(scaleRound(scores[m])))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Names of the rows of the combined rankings. The first fits no Plackett–Luce
// model, which is why the corrected table calls it what it is.
const (
	rowPlackettLuce = "Plackett-Luce"
	rowMeanRank     = "Mean rank"
	rowBorda        = "BORDA"
)

func (r *Report) rankTable(n *Numbers, d Definition, k Kind) *Table {
	t := &Table{
		Name: string(k) + "_ranks", Title: "Ranking, " + kindTitle[k] + " of all runs", Definition: d,
		Header: []string{"Rank"}, Text: len(r.Models) + 2,
	}
	for i := range len(r.Models) + 1 {
		t.Header = append(t.Header, strconv.Itoa(i+1))
	}
	ranking := n.rankings[k]
	for ti, task := range r.Tasks {
		t.Rows = append(t.Rows, append([]string{task.Name}, r.study.ids(ranking.PerTask[ti].Order())...))
	}
	rule, name := "list_order", rowPlackettLuce
	if d == Corrected {
		rule, name = "midrank", rowMeanRank
	}
	if c, ok := ranking.Combined[rule]; ok && len(r.Tasks) > 0 {
		t.Rows = append(t.Rows,
			append([]string{name}, r.study.ids(c.ByMeanRank)...),
			append([]string{rowBorda}, r.study.ids(c.ByBorda)...))
	}
	return t
}

func (r *Report) aupTable(n *Numbers, d Definition) *Table {
	t := &Table{Name: "aup_scores", Title: "Area under the performance profile, T = " + plain(n.perform.MaxTau), Definition: d, Text: 1}
	columns := [][]float64{n.perform.Best.AUP, n.perform.Last.AUP}
	t.Header = []string{"Model", "Best AUP", "Last AUP"}
	if d == Corrected {
		columns = [][]float64{n.perform.Best.NeverCounts, n.perform.Last.NeverCounts, n.perform.Best.Shifted, n.perform.Last.Shifted}
		t.Header = append(t.Header, "Best AUP shifted", "Last AUP shifted")
	}
	for p := range len(r.Models) + 1 {
		row := []string{r.study.participant(p)}
		for _, c := range columns {
			v := 0.0
			if p < len(c) {
				v = c[p]
			}
			row = append(row, plain(scaleRound(v)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// SummaryTables are the tables that the published evaluation prints: every
// metric per task and model, and the number of runs with a file of scores.
func (r *Report) SummaryTables() []*Table {
	sum := &Table{
		Name: "metric_summary", Title: "Every metric, per task and model, over runs with a usable score", Text: 4,
		About:  "std is the population standard deviation (divisor n).",
		Header: []string{"task", "model", "kind", "metric", "n", "min", "max", "mean", "std", "failed_runs", "values"},
	}
	for _, task := range r.Tasks {
		for _, m := range r.Models {
			ms := r.MetricSummary[task.ID][m.ID]
			if len(ms.Best) == 0 {
				sum.Rows = append(sum.Rows, []string{task.ID, m.ID, "", "", "0", "", "", "", "", strconv.Itoa(ms.Failed), ""})
			}
			for _, k := range []Kind{Best, Last} {
				of := ms.Best
				if k == Last {
					of = ms.Last
				}
				for _, metric := range sortedKeys(of) {
					v := of[metric]
					var values []string
					for _, x := range v.Values {
						values = append(values, plain(float64(x)))
					}
					sum.Rows = append(sum.Rows, []string{
						task.ID, m.ID, string(k), metric, strconv.Itoa(v.N), plain(decimalRound(float64(v.Min))), plain(decimalRound(float64(v.Max))),
						plain(decimalRound(float64(v.Mean))), plain(decimalRound(float64(v.Std))), strconv.Itoa(ms.Failed), strings.Join(values, " "),
					})
				}
			}
		}
	}
	valid := &Table{Name: "valid_runs", Title: "Runs with a file of scores", Header: []string{"Model"}, Text: 1}
	for _, task := range r.Tasks {
		valid.Header = append(valid.Header, task.ID)
	}
	for _, m := range r.Models {
		row := []string{m.ID}
		for _, task := range r.Tasks {
			row = append(row, strconv.Itoa(r.Valid[m.ID][task.ID]))
		}
		valid.Rows = append(valid.Rows, row)
	}
	cost := &Table{
		Name: "cost", Title: "Tokens and cost per run", Text: 1,
		About: "Averages over all runs with a recorded count of tokens, and over those that really called a model.",
		Header: []string{
			"Model", "runs", "avg_tokens_sent", "avg_tokens_received", "avg_cost_usd",
			"runs_with_zero_tokens", "avg_cost_usd_without_zero_runs",
		},
	}
	for _, m := range r.Models {
		c := r.Cost[m.ID]
		if c == nil {
			cost.Rows = append(cost.Rows, []string{m.ID, "0", "", "", "", "0", ""})
			continue
		}
		cost.Rows = append(cost.Rows, []string{
			m.ID, strconv.Itoa(c.Runs), plain(float64(c.AvgSent)), plain(float64(c.AvgReceived)),
			plain(float64(c.AvgUSD)), strconv.Itoa(c.ZeroRuns), plain(float64(c.AvgUSDNonZero)),
		})
	}
	return []*Table{sum, valid, cost}
}
