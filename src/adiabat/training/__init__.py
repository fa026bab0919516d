"""Training: one loop for every family that learns by gradients.

| file | what |
|---|---|
| `fit` | the loop, from frames to a potential |
| `problem` | frames to graphs; what is given and what is learned |
| `loss` | the loss and the errors people read |
| `optimizers` | AdamW, SGD, L-BFGS |
| `schedule` | learning-rate schedules, averages of parameters |
| `checkpoint` | where a training stands, exactly |
"""

from adiabat.training.fit import Uncalibrated, fit

__all__ = ["Uncalibrated", "fit"]
