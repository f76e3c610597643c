package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"mlgym/experiment"
)

// collector turns snapshots into metrics.
type collector struct {
	snapshot func() experiment.Status

	episodes, ended, usd, unpriced, tokens, seconds, active, budgetUSD, budgetTokens *prometheus.Desc
	step, score, episodeUSD, episodeSeconds                                          *prometheus.Desc
}

func newCollector(snapshot func() experiment.Status) *collector {
	name := snapshot().Name
	desc := func(metric, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("mlgym_experiment_"+metric, help, labels, prometheus.Labels{"experiment": label(name)})
	}
	of := []string{"episode", "task", "agent"}
	return &collector{
		snapshot:       snapshot,
		episodes:       desc("episodes", "Episodes of the experiment by state.", "state"),
		ended:          desc("episodes_ended_total", "Episodes that have an outcome: done or failed.", "state"),
		usd:            desc("cost_usd_total", "US dollars that models cost, where the cost is known."),
		unpriced:       desc("episodes_unpriced", "Episodes whose cost is not known."),
		tokens:         desc("tokens_total", "Tokens in and out of models."),
		seconds:        desc("run_seconds_total", "Seconds in which the experiment was run, all its parts together."),
		active:         desc("active", "1 while a process runs the experiment."),
		budgetUSD:      desc("budget_usd", "Limit on the cost of the experiment in US dollars, 0 for none."),
		budgetTokens:   desc("budget_tokens", "Limit on the tokens of the experiment, 0 for none."),
		step:           desc("episode_step", "Step under way of a running episode.", of...),
		score:          desc("episode_score", "Last score of a running episode by the task's primary metric.", of...),
		episodeUSD:     desc("episode_cost_usd", "US dollars that the model of a running episode cost so far.", of...),
		episodeSeconds: desc("episode_seconds", "Seconds that a running episode has taken so far.", of...),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.episodes, c.ended, c.usd, c.unpriced, c.tokens, c.seconds, c.active, c.budgetUSD, c.budgetTokens, c.step, c.score, c.episodeUSD, c.episodeSeconds,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	st := c.snapshot()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for _, of := range []struct {
		state experiment.State
		n     int
	}{
		{experiment.Done, st.Done}, {experiment.Running, st.Running}, {experiment.Waiting, st.Waiting}, {experiment.Failed, st.Failed}, {experiment.Skipped, st.Skipped},
	} {
		gauge(c.episodes, float64(of.n), string(of.state))
	}
	counter(c.ended, float64(st.Done), string(experiment.Done))
	counter(c.ended, float64(st.Failed), string(experiment.Failed))
	counter(c.usd, st.Spent.USD)
	gauge(c.unpriced, float64(st.Spent.Unpriced))
	counter(c.tokens, float64(st.Spent.Tokens))
	counter(c.seconds, st.Spent.Hours*60*60)
	active := 0.0
	if st.Active {
		active = 1
	}
	gauge(c.active, active)
	gauge(c.budgetUSD, st.Budget.USD)
	gauge(c.budgetTokens, float64(st.Budget.Tokens))
	for _, e := range st.Episodes {
		if e.State != experiment.Running {
			continue
		}
		labels := []string{label(e.Name), label(e.Task), label(e.Agent)}
		gauge(c.step, float64(e.Step), labels...)
		gauge(c.episodeSeconds, e.Seconds, labels...)
		if e.Score != nil {
			gauge(c.score, *e.Score, labels...)
		}
		if e.CostUSD != nil {
			gauge(c.episodeUSD, *e.CostUSD, labels...)
		}
	}
}

// label makes a name a label's value: what is not UTF-8 would end the process.
func label(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
