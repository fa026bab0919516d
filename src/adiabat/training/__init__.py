"""Training: one loop for every family that learns by gradients.

| file | what |
|---|---|
| `fit` | from frames to a potential |
| `usual` | the model of someone who names none, by the frames |
| `problem` | frames to graphs; what is given and what is learned |
| `given`, `members`, `provenance` | of which: elements, reference energies, wall; a committee's members; names for data and training |
| `batches` | where graphs come from; batches by edge budget |
| `loop` | the loop: epochs, checks, checkpoints |
| `distributed` | several processes at one training |
| `solve` | least squares for families that are linear in what they learn |
| `triangles` | what it keeps of its data: a triangle for each kind of label and share of the frames |
| `equations` | candidates of weights and ridge, judged at the cost of one Cholesky decomposition; coefficients by QR |
| `weighing` | the choice of weights and ridge by frames left out; members of a committee |
| `choice` | one of several linear models, by the same |
| `loss` | the loss and the errors people read |
| `optimizers` | AdamW, SGD, L-BFGS |
| `schedule` | learning-rate schedules, averages of parameters |
| `checkpoint` | where a training stands, exactly |
| `spread` | what held-out frames teach of a committee's spread |
"""

from adiabat.training.choice import choose
from adiabat.training.fit import fit
from adiabat.training.spread import Uncalibrated

__all__ = ["Uncalibrated", "choose", "fit"]
