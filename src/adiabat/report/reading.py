"""Numbers and keys as one reads them."""

from __future__ import annotations

import math
from typing import Any

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UNITS = {
    "per_fs": "1/fs", "meV_per_atom": "meV/atom", "meV_per_A": "meV/Å", "eV_per_A": "eV/Å", "eV": "eV", "meV": "meV", "A": "Å",
    "fs": "fs", "ps": "ps", "ns": "ns", "K": "K", "GPa": "GPa", "s": "s", "Ha": "Ha", "hartree": "Ha", "MB": "MB",
    "angstrom": "Å", "per_angstrom": "1/Å", "eV_per_angstrom": "eV/Å",
}  # fmt: skip


def show(value: Any, digits: int = 3) -> str:
    """A number to so many digits, a list or record in words; "–" for what is not there.

    >>> show(0.000123456), show(-2.5), show(None), show(1234567.0), show(2.1e-7), show(-1e-9), show(80)
    ('0.000123', '−2.5', '–', '1,234,567', '2.1×10⁻⁷', '−10⁻⁹', '80')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        big = isinstance(value, int) or 10**digits <= abs(value) < 1e9
        mantissa, _, power = (f"{value:,.0f}" if big else f"{value:.{digits}g}").partition("e")
        if power:
            head = {"1": "", "-1": "-"}.get(mantissa, f"{mantissa}×")
            return f"{head}10{str(int(power)).translate(SUPERSCRIPT)}".replace("-", "−")
        return mantissa.replace("-", "−")
    if isinstance(value, dict):
        return "; ".join(f"{words(key)} {show(item)}" for key, item in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(show(item) for item in value) or "–"
    return str(value)


def measured(value: float | None, error: float | None = None, unit: str = "") -> str:
    """A value with its error, both to the error's second digit, and its unit.

    >>> measured(0.0441, 0.1), measured(300.42, 2.13, "K"), measured(104.02, None, "°"), measured(None)
    ('0.04 ± 0.10', '300.4 ± 2.1 K', '104°', '–')
    >>> measured(5.475236, 7.9e-05, "Å")
    '5.475236 ± 0.000079 Å'
    """
    if value is None:
        return "–"
    number = show(value, 4 if abs(value) >= 10 else 3)
    if error is not None and 1e-9 < error < 1e4:
        places = max(0, 1 - math.floor(math.log10(error)))
        number = f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")
    elif error is not None:
        number += f" ± {show(error, 2)}"
    return f"{number}{'' if unit in ('', '°') else ' '}{unit}"


def words(key: str) -> str:
    """A key without underscores, its unit in brackets.

    >>> words("timestep_fs"), words("force_mae_meV_per_A"), words("kspacing_per_angstrom"), words("hidden")
    ('timestep (fs)', 'force mae (meV/Å)', 'kspacing (1/Å)', 'hidden')
    """
    for unit in sorted(UNITS, key=len, reverse=True):
        if key.endswith(f"_{unit}"):
            return f"{key.removesuffix(f'_{unit}').replace('_', ' ')} ({UNITS[unit]})"
    return key.replace("_", " ")


def duration(seconds: float) -> str:
    """A time as one says it.

    >>> duration(4.2), duration(261.0), duration(7384)
    ('4.2 s', '4 min 21 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes} min {s} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
