"""Runs that wire the rooms together: one file a kind of run, and what they share.

| file | what |
|---|---|
| `demo` | the main job on the embedded default, the water molecule |
| `learn` | active learning |
| `groundwork`, `rounds`, `committees` | its first labels and test set; training, exploring, labeling in turns; what it trains |
| `options`, `workshop` | its configuration; its labels and stages |
| `runs`, `measures`, `story` | its dynamics, its examination, its report |
| `deviations`, `tiles` | of which: its potential beside the labels; the verdicts |
| `train`, `material` | labeled files → a potential; the parts it is made of |
| `label` | structures → labels |
| `sample` | structures → more structures |
| `md`, `md_files` | a potential and a structure → a trajectory; what it keeps on disk |
| `analyze` | a trajectory → numbers |
| `run_folder` | the folder of a run: its configuration, its events, who may write there |
| `frames` | files named in a configuration, the data gate before whoever uses them, conversion |
| `provenance`, `doctor` | versions and machine; what works and what to do |
| `terminal`, `wording` | progress, messages, exit codes; cures as options |
| `templates/` | what `adiabat new` prints |
"""
