"""Silicon by Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), straight from the paper: a crystal whose constants are known."""

import torch

from adiabat.kernels.segment import segment_sum
from adiabat.potential import Model


class StillingerWeber(Model):
    name = "stillinger_weber"
    epsilon, sigma = 2.1672, 2.0951  # eV (the cohesive energy of silicon, 4.3363 eV, at two bonds an atom), Å
    A, B, p, a, strength, gamma = 7.049556277, 0.6022245584, 4, 1.80, 21.0, 1.20

    def __init__(self) -> None:
        super().__init__()
        self.elements, self.cutoff = (14,), self.a * self.sigma

    def forward(self, graph):
        r = torch.linalg.vector_norm(graph.r, dim=1) / self.sigma
        inside = r < self.a - 1e-9
        room = torch.where(inside, r - self.a, -1.0)
        two = torch.where(inside, self.A * (self.B * r**-self.p - 1) * torch.exp(1 / room), 0.0)
        fade = torch.where(inside, torch.exp(self.gamma / room), 0.0)
        one, other = graph.triplets
        cosine = (graph.r[one] * graph.r[other]).sum(1) / (r[one] * r[other] * self.sigma**2)
        three = self.strength * fade[one] * fade[other] * (cosine + 1 / 3) ** 2
        energies = 0.5 * segment_sum(two, graph.i, graph.n_atoms) + segment_sum(three, graph.i[one], graph.n_atoms)
        return {"energies": self.epsilon * energies}
