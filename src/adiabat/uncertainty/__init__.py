"""What a potential does not know.

| file | what |
|---|---|
| `committee` | members of one architecture, trained and evaluated together; the spread of their predictions |
| `gaussian_process` | the predictive variance of each atom |
| `frozen` | the same for values alone, in one compiled call |
| `calibration` | the spread scaled on held-out data, its coverage, and whether to trust it |
"""

from adiabat.uncertainty.calibration import Calibration, Trust, calibrate, coverage, pooled, rank_correlation, trust
from adiabat.uncertainty.committee import Committee
from adiabat.uncertainty.gaussian_process import with_variance

__all__ = ["Calibration", "Committee", "Trust", "calibrate", "coverage", "pooled", "rank_correlation", "trust", "with_variance"]
