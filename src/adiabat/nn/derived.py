"""Tensors worked out from parameters, such as spline tables and merged polynomials."""

from __future__ import annotations

import torch
from torch import nn

from adiabat.typing import Tensor


class Derived(nn.Module):
    """A tensor made from this module's parameters and buffers by `compute`.

    While training it is made anew, differentiably, at every call. While evaluating it is made once, without gradients, and made
    again when one of them was changed in place, replaced or moved (a change through `.data` cannot be seen).
    """

    _known: tuple[tuple, Tensor, list[Tensor]] | None = None

    def compute(self) -> Tensor:
        raise NotImplementedError

    def forward(self) -> Tensor:
        # Inside torch.func (a committee by vmap) parameters have neither address nor version.
        if self.training or torch._C._functorch.peek_interpreter_stack() is not None:
            return self.compute()
        made_from = [*self.parameters(), *self.buffers()]
        key = tuple((p.data_ptr(), p._version, p.dtype) for p in made_from)
        if self._known is None or self._known[0] != key:
            with torch.no_grad():
                # They are held, so that no other tensor takes an address that the key knows.
                self._known = key, self.compute(), [p.detach() for p in made_from]
        return self._known[1]
