"""The story of a run on one page: `report.json` written as the run goes on, `report.html` drawn from it at any moment.

A campaign tells the report what it learned, a section a subject, as often as it likes; each section is optional, a later `put`
replaces it, and a run that was killed goes on where it was:

    sections = Sections(run_folder)
    sections.put("learning_curve", labels=[24, 36], test_energy_mae_meV_per_atom=[1.1, 0.4])
    write(run_folder)                                   # → run_folder/report.html, also half-way

`report.json` is `{"format": 1, "sections": {name: content}}`. The sections, their forms in `forms.py` (each field with its unit
in its name, None where a number is missing):

| section | form | says |
|---|---|---|
| verdicts | `Verdicts` | measured against aimed at; the tiles on top |
| settings | `Settings` | system, engine record, level of theory, model, training |
| methods | `Methods` | paragraphs; without them the report composes its own |
| learning_curve | `LearningCurve` | errors against number of labels |
| parity | `Parity` | model against reference, train and test |
| errors_by_kind | `ErrorsByKind` | as `adiabat test --json` has it |
| uncertainty | `Uncertainty` | spread against true error; coverage |
| distributions | `Distributions` | distances, angles: model and reference with its error |
| vibrations | `Vibrations` | frequencies, model and reference |
| structures | `Structures` | structures and trajectories, to be turned in three dimensions |
| crystal, rdf | `Crystal`, `RDF` | lattice and elasticity side by side; g(r) |
| nve, nvt | `NVE`, `NVT` | energy drift; temperature |
| rounds | `Rounds` | stop rule and decisions |
| exploration | `Exploration` | spread against time, a stage a temperature |
| training | `Training` | loss against epoch |
| time_budget, label_cost | `TimeBudget`, `LabelCost` | where the time went |
| data_gate, model_gate | `DataGate`, `ModelGate` | findings; checks |
| versions | `Versions` | software and machine |
| citations | `Citations` | keys of `citations.WORKS`, and works of the run's own |

`summary.json`, `events.jsonl` and `config.yaml` of the folder are read beside it. `picture.draw` makes the still picture of a run.
"""

from adiabat.report.record import SECTIONS, Run, Sections

__all__ = ["SECTIONS", "Run", "Sections", "write"]


def write(run_folder):
    """`report.html` of a run folder, finished or not (see `page.write`)."""
    from adiabat.report.page import write

    return write(run_folder)
