"""A methods paragraph from what a run recorded: nothing is said that was not written down."""

from __future__ import annotations

import os

from adiabat.report.citations import cited
from adiabat.report.forms import Citations
from adiabat.report.reading import measured, show
from adiabat.report.record import Run


def paragraphs(run: Run) -> list[str]:
    """One paragraph on how the potential was made, one on how it was tested; as much as the sections hold."""
    made, tested = [], []
    s = run.sections.get("settings")
    if s:
        what = s.system or "the system"
        if s.level_of_theory:
            engine = f" with {show(s.engine['version'])}" if "version" in s.engine else ""
            made.append(f"Reference energies and forces ({what}) were computed at {s.level_of_theory}{engine}.")
        if s.model:
            name = s.model.get("name") or s.model.get("family")
            rest = {k: v for k, v in s.model.items() if k not in ("name", "family")}
            made.append(
                f"The potential is {_article(name)} model ({show(rest)})."
                if name and rest
                else f"The potential is {name}."
                if name
                else ""
            )
    curve, rounds, cost = (run.sections.get(name) for name in ("learning_curve", "rounds", "label_cost"))
    if curve and curve.labels:
        few, many = curve.labels[0], curve.labels[-1]
        way = "by active learning, its training set growing" if rounds else "on sets growing"
        made.append(
            f"It was trained {way} from {few} to {many} labels." if few != many else f"It was trained on {many} labels."
        )
    if rounds and rounds.stop_rule:
        made.append(f"Rounds were repeated until: {rounds.stop_rule.rstrip('.')}.")
    if cost:
        cpu = sum(row.cpu_s or 0.0 for row in cost.rows)
        made.append(f"The reference calculations took {show(cpu)} s of CPU time." if cpu else "")
    kinds, nve, distributions, versions = (run.sections.get(n) for n in ("errors_by_kind", "nve", "distributions", "versions"))
    errors = kinds.overall if kinds else None
    if errors:
        tested.append(
            f"On {errors.n_structures} independent structures the mean absolute errors are {show(errors.energy_mae_meV_per_atom)} "
            f"meV/atom in energy and {show(errors.force_mae_meV_per_A)} meV/Å in force components."
        )
    if nve and nve.slope_meV_per_atom_per_ns is not None:
        step = f" with a timestep of {show(nve.timestep_fs)} fs" if nve.timestep_fs is not None else ""
        drift = measured(nve.slope_meV_per_atom_per_ns, nve.slope_error_meV_per_atom_per_ns, "meV/atom/ns")
        tested.append(f"The energy drift over {len(nve.energy_meV_per_atom)} constant-energy runs{step} is {drift}.")
    if distributions and distributions.effective_sample_size is not None:
        names = " and ".join(d.name for d in distributions.distributions)
        tested.append(f"The distributions of {names} were compared with {distributions.reference} by reweighting "
                      f"(effective sample size {show(distributions.effective_sample_size)}).")  # fmt: skip
    if versions and "adiabat" in versions.software:
        tested.append(f"All steps were run with Adiabat {versions.software['adiabat']}.")
    return [text for part in (made, tested) if (text := " ".join(filter(None, part)))]


def text(run_folder: str | os.PathLike) -> str:
    """The paragraphs of a run and the BibTeX entries of what it used, to paste into a manuscript."""
    run = Run.read(run_folder)
    given = run.sections.get("methods")
    works, _ = cited(run.sections.get("citations") or Citations())
    return (
        "\n\n".join([*(given.paragraphs if given else paragraphs(run)), *(work.bibtex for work in works if work.bibtex)]) + "\n"
    )


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
