"""Active learning: meet new frames, doubt them, choose, stop.

| file | what |
|---|---|
| `explore` | replicas under a thermostat, the committee watching itself |
| `select` | the most uncertain and mutually different frames |
| `stop` | the rule and its decisions |
"""

from adiabat.active.explore import Exploration, explore
from adiabat.active.select import Candidate, Selection, farthest_points
from adiabat.active.stop import Decision, StopRule

__all__ = ["Candidate", "Decision", "Exploration", "Selection", "StopRule", "explore", "farthest_points"]
