package taskimport

import (
	"fmt"
	"path"
	"strings"
)

// write makes the task's folder.
func (m *mlgymImport) write() (*Report, error) {
	t := newTree()
	var secrets []string
	for _, name := range sorted(m.workspace) {
		if m.workspace[name].prepared {
			continue // its data set has it
		}
		if m.hidden[name] {
			t.file("grader/hidden/"+name, m.workspace[name])
			if name != m.settings.Script {
				secrets = append(secrets, name)
			}
			continue
		}
		t.file("starter/"+name, m.workspace[name])
	}
	secrets = append([]string{m.settings.Script}, secrets...)
	t.text("grader/grade.py", gradePy)
	t.json("grader/foreign.json", m.settings)
	t.text("description.md", m.description())
	t.text("task.yaml", m.spec.yaml("MLGym's "+m.config.ID))
	for _, d := range m.large {
		m.writeData(t, d)
	}
	addTests(t, &m.spec, attacked{script: path.Base(m.settings.Script), secrets: secrets, good: goodScore(m.spec.metrics[0])})
	m.report.add(Changed, "tests", "null and %d cheats were written that fit any task; tests/reference is missing, so mlgym task check finds fault until you write it", cheatCount())
	for _, d := range m.large {
		m.report.Next = append(m.report.Next, fmt.Sprintf("mlgym data prepare %s --from %s", shellWord(path.Join(m.folder(), "datasets", d.id)), shellWord(path.Join(m.root.root, d.text.DataPath))))
	}
	m.report.Next = append(m.report.Next,
		"mlgym run --task "+shellWord(m.folder())+" --agent baseline",
		"mlgym task check "+shellWord(m.folder()))
	t.text("README.md", readme(&m.spec, m.report))
	t.text("IMPORT.md", m.report.markdown(m.trust()))
	folder, err := t.write(m.opts.Out, m.spec.id)
	m.report.Folder = folder
	return m.report, err
}

// folder is where the task will lie, as a path that is one.
func (m *mlgymImport) folder() string { return taskFolder(m.opts.Out, m.spec.id) }

// taskFolder writes a folder so that it is not taken for a name.
func taskFolder(out, id string) string {
	folder := path.Join(out, id)
	if !strings.Contains(folder, "/") {
		folder = "./" + folder
	}
	return folder
}

func cheatCount() int {
	entries, _ := cheatFiles.ReadDir("cheats") // embedded
	return len(entries)
}

// description is the text for the agent.
func (m *mlgymImport) description() string {
	text := m.config.Description
	docs := strings.TrimSpace(m.docs.String())
	if strings.Contains(text, "{dataset_docs}") {
		m.report.add(Kept, "description", "with the descriptions of the data sets in the place of {dataset_docs}")
	} else {
		m.report.add(Kept, "description", "%d characters", len(text))
		if docs != "" {
			m.report.add(Left, "descriptions of the data sets", "the description has no {dataset_docs} to put them at")
		}
	}
	text = strings.NewReplacer("{dataset_docs}", docs, "{{", "{", "}}", "}").Replace(text)
	var b strings.Builder
	b.WriteString(strings.TrimSpace(text) + "\n\n")
	b.WriteString(handingIn(&m.spec))
	if strings.Contains(text, path.Base(m.settings.Script)) {
		fmt.Fprintf(&b, "`%s` is not in the workspace: `validate` runs it for you.\n", path.Base(m.settings.Script))
	}
	for _, d := range m.large {
		fmt.Fprintf(&b, "The data %s are at `data/%s/`.\n", d.text.Name, splitOf(d.id))
	}
	return b.String()
}

// handingIn says what is handed in and how it is scored.
func handingIn(s *spec) string {
	var b strings.Builder
	b.WriteString("## Handing in\n\n")
	var list []string
	for _, f := range s.files {
		name := "`" + f.Path + "`"
		switch {
		case f.Path == "./":
			name = "the whole workspace (`./`, without links)"
		case f.Folder():
			name = "the folder " + name + " (without links)"
		}
		list = append(list, name)
	}
	more := "more"
	if s.metrics[0].Direction == "minimize" {
		more = "less"
	}
	fmt.Fprintf(&b, "What counts is %s, as it lies in the workspace. The score is the metric `%s`; %s is better.\n", strings.Join(list, " and "), s.metrics[0].Name, more)
	b.WriteString("`validate` runs the task's evaluation and tells what it gives; `submit` runs it once more and ends the episode.\n")
	return b.String()
}

// readme is for researchers.
func readme(s *spec, r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nImported from %s; [IMPORT.md](IMPORT.md) says what was kept, changed and left out, and what is trusted.\n", s.name, r.From)
	b.WriteString("The licence of the source holds on.\n\nWhat is open about the task, what good scores are, and what is weak about it, is yours to add here.\n")
	if len(r.Next) > 0 {
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.Join(r.Next, "\n"))
	}
	return b.String()
}

// trust is the end of IMPORT.md.
func (m *mlgymImport) trust() string {
	text := "The evaluation runs in a sandbox of its own, in a workspace made anew: what the agent did to the evaluation script, to\n" +
		"hidden files or to anything that is not handed in changes nothing. `validate` and `submit` score the same test, without\n" +
		"limit, as MLGym does; such scores contain selection.\n"
	if m.config.TaskEntrypoint == "CSVSubmissionTasks" && !m.spec.whole() {
		return text + "\nNo code of the agent runs in the evaluation, as long as the script only reads what is handed in (it should not unpickle it).\n"
	}
	return text + "\nThe evaluation runs code of the agent, in its own process or beside it. Such code can read what is hidden while it is graded\n" +
		"and print a result of its own: a score of this task is only as good as a look at what was handed in. A task that must stand\n" +
		"that runs the program as a player (docs/format/grader-protocol.md), which an import cannot do by itself.\n"
}

// splitOf names the split that an agent sees.
func splitOf(id string) string { return splitName(id) }

func splitName(id string) string {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, id))
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = "d" + name
	}
	return name[:min(len(name), 50)]
}

// writeData writes a data set that is prepared from the user's own folder.
func (m *mlgymImport) writeData(t *tree, d largeData) {
	var hidden []string
	for _, name := range sorted(d.files) {
		if m.hidden[path.Join(d.below, name)] {
			hidden = append(hidden, name)
		}
	}
	dir := "datasets/" + d.id + "/"
	split := splitOf(d.id)
	hiddenSplit := ""
	if len(hidden) > 0 {
		hiddenSplit = fmt.Sprintf("  - {name: %s_hidden, agent: never, summary: \"the files that only the evaluation gets\"}\n", split)
	}
	t.text(dir+"dataset.yaml", fmt.Sprintf(`# Imported from MLGym by mlgym task import.
format: 1
id: %s
version: 1
name: %s
description: %s
licence: that of the source, which was not looked up
splits:
  - {name: %s, agent: always, summary: "the files that an agent gets"}
%svariants:
  full:
    summary: all of them
    bytes: %d
    user_files: %s
    sources: []
`, d.id, quote(oneLine(d.text.Name)), quote(strings.TrimSpace(d.text.Description)+" "), split, hiddenSplit, max(d.bytes, 1),
		quote(fmt.Sprintf("the %d files of the folder %s of the checkout it was imported from", len(d.files), d.text.DataPath))))
	t.text(dir+"requirements.txt", "")
	var list strings.Builder
	for _, name := range hidden {
		fmt.Fprintf(&list, "    %s,\n", quote(name))
	}
	t.text(dir+"prepare.py", fmt.Sprintf(`"""Sorts the files of an imported data set into those that an agent gets and those that it does not."""

from __future__ import annotations

import shutil

from mlgym_dataset import Preparation, run

FILES = %d
HIDDEN = [
%s]


def prepare(p: Preparation) -> None:
    """Copy every file into its split."""
    files = sorted(path for path in p.source.rglob("*") if path.is_file() and not path.name.startswith("."))
    if len(files) < FILES // 2:
        p.refuse(f"{p.source} has {len(files)} files; {FILES} were there when the task was imported")
    for number, path in enumerate(files):
        name = path.relative_to(p.source)
        target = p.split("%s_hidden" if name.as_posix() in HIDDEN else "%s") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        p.progress("copying", number, len(files))


if __name__ == "__main__":
    run(prepare)
`, len(d.files), list.String(), split, split))
}
