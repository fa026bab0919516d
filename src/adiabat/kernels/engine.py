"""What autograd's engine is about to do: operations work out only what somebody waits for."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.graph import Node


def asked(ctx: Any, inputs: int) -> list[bool]:
    """Which of the first inputs' gradients lead anywhere in the backward pass that runs now.

    `needs_input_grad` tells what was differentiable when the operation ran. Of that, forces want what leads to edge vectors, and no
    table or coefficient; an optimizer's `backward(inputs=parameters)` wants what leads to parameters, and no edge vector.
    """
    needs = ctx.needs_input_grad[:inputs]
    return [need and _runs(edge[0]) for need, edge in zip(needs, ctx.next_functions[:inputs], strict=True)]


def _runs(node: Node | None) -> bool:
    try:
        return node is not None and torch._C._will_engine_execute_node(node)
    except (AttributeError, RuntimeError):  # a leaf, of which it does not tell, or a torch that does not know
        return True
