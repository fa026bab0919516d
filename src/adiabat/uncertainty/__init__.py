"""What a potential does not know.

| file | what |
|---|---|
| `committee` | members of one architecture, trained and evaluated together; the spread of their predictions |
| `calibration` | the spread scaled on held-out data, and its coverage |
"""

from adiabat.uncertainty.calibration import Calibration, calibrate, coverage, pooled
from adiabat.uncertainty.committee import Committee

__all__ = ["Calibration", "Committee", "calibrate", "coverage", "pooled"]
