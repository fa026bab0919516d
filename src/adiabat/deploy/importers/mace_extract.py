"""A loaded mace-torch model as plain settings and arrays.

Nothing of mace-torch or e3nn is imported: the model's own layers are asked what they do to unit vectors, so that the layout and
the normalizations of those packages are theirs to know. Components of an irrep are theirs, too; see `mace` why they may be ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from adiabat.deploy.importers.answers import answers
from adiabat.deploy.importers.extracted import Extracted, ForeignModelError
from adiabat.elements import COVALENT_RADII
from adiabat.typing import Tensor

Irrep = tuple[int, int]  # l, parity
TRANSFORMS = {"AgnesiTransform": ("agnesi", ("q", "p", "a")), "SoftTransform": ("soft", ("alpha",))}
INTERACTIONS = {"RealAgnosticResidualInteractionBlock": True, "RealAgnosticInteractionBlock": False}  # name → residual


def extract(model: Any, version: str = "") -> Extracted:
    """Settings and arrays of a `MACE` or `ScaleShiftMACE` of mace-torch, with its answers on a few clusters.

    What is not supported is refused by name.
    """
    _refuse_unsupported(model)
    single = next(p.dtype for p in model.parameters() if p.is_floating_point()) == torch.float32
    # mace-torch takes the precision of constants it makes on the way from torch's default
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = copy.deepcopy(model).to("cpu", torch.float64).eval()
        with torch.no_grad():
            arrays = _arrays(model)
        arrays |= answers(lambda numbers, R: ask(model, numbers, R), model.atomic_numbers.tolist(), float(model.r_max))
    finally:
        torch.set_default_dtype(before)
    settings = _settings(model) | {"single": single}
    plain = {k: v.detach().cpu().numpy() if isinstance(v, Tensor) else np.asarray(v) for k, v in arrays.items()}
    return Extracted(f"mace-torch {version}".strip(), settings, plain)


def _refuse_unsupported(model: Any) -> None:
    name = type(model).__name__
    _want(name in ("MACE", "ScaleShiftMACE"), f"the model is a {name}", "MACE or ScaleShiftMACE")
    heads = list(getattr(model, "heads", None) or ["Default"])
    _want(
        len(heads) == 1,
        f"the model has {len(heads)} heads ({', '.join(heads)})",
        "a model of one head; mace_select_head makes one",
    )
    for i, block in enumerate(model.interactions):
        kind = type(block).__name__
        _want(
            kind in INTERACTIONS and (i == 0 or INTERACTIONS[kind]),
            f"interaction {i} is a {kind}",
            f"one of {', '.join(INTERACTIONS)}",
        )
        _want(getattr(block, "cueq_config", None) is None and getattr(block, "oeq_config", None) is None,
              "the model is converted to cuEquivariance or OpenEquivariance", "the e3nn form; mace_cueq_to_e3nn converts it")  # fmt: skip
    radial = model.radial_embedding
    basis = type(radial.bessel_fn).__name__
    _want(basis == "BesselBasis", f"the radial basis is a {basis}", "BesselBasis")
    transform = type(getattr(radial, "distance_transform", None)).__name__
    _want(
        transform in ("NoneType", *TRANSFORMS), f"distances pass through a {transform}", f"none, or {' or '.join(TRANSFORMS)}"
    )
    _want(getattr(radial, "apply_cutoff", True), "apply_cutoff is off", "Bessel functions times the cutoff")
    for attribute, what in (
        ("pair_repulsion", "a pair repulsion (ZBL) is added"), ("joint_embedding", "the model embeds global inputs"),
        ("use_so3", "use_so3 is on"), ("edge_irreps", "edge_irreps are set"), ("lammps_mliap", "the model is exported for LAMMPS"),
    ):  # fmt: skip
        _want(not getattr(model, attribute, None), what, "a model without")
    for i, readout in enumerate(model.readouts):
        kind = type(readout).__name__
        _want(kind in ("LinearReadoutBlock", "NonLinearReadoutBlock"), f"readout {i} is a {kind}", "linear or gated scalars")
    for i, product in enumerate(model.products):
        kind = type(product.symmetric_contractions).__name__
        _want(kind == "SymmetricContraction", f"product {i} holds a {kind}", "SymmetricContraction")


def _want(fine: Any, came: str, wanted: str) -> None:
    if not fine:
        raise ForeignModelError(f"mace-torch: {came}; this importer supports {wanted}")


def _settings(model: Any) -> dict[str, Any]:
    return {
        "model": type(model).__name__,
        "r_max": float(model.r_max),
        "p": int(model.radial_embedding.cutoff_fn.p),
        "transform": _transform(model),
        "residual_first": INTERACTIONS[type(model.interactions[0]).__name__],
        "avg_num_neighbors": [float(block.avg_num_neighbors) for block in model.interactions],
        "layers": [
            {
                "features": _irreps(block.linear_up.irreps_in),
                "conv": _irreps(block.linear.irreps_out),
                "hidden": _irreps(product.linear.irreps_out),
                "paths": [
                    [i.i_in1, block.conv_tp.irreps_in2[i.i_in2].ir.l, *_irreps(block.conv_tp.irreps_out)[i.i_out][1:]]
                    for i in block.conv_tp.instructions
                ],
                "mid": [i.i_out for i in block.conv_tp.instructions],
                "correlation": [len(c.weights) + 1 for c in product.symmetric_contractions.contractions],
            }
            for block, product in zip(model.interactions, model.products, strict=True)
        ],
        "radial": [int(layer.weight.shape[0]) for layer in list(model.interactions[0].conv_tp_weights)][1:],
        "readouts": [type(readout).__name__ for readout in model.readouts],
    }


def _transform(model: Any) -> dict[str, dict[str, float]] | None:
    """The name of a radial transform here, with its numbers."""
    found = getattr(model.radial_embedding, "distance_transform", None)
    if found is None:
        return None
    for Z in model.atomic_numbers.tolist():
        theirs, ours = float(found.covalent_radii[Z]), COVALENT_RADII[Z]
        _want(abs(theirs - ours) < 1e-6, f"a covalent radius of {theirs} Å for atomic number {Z}", f"{ours} Å")
    name, numbers = TRANSFORMS[type(found).__name__]
    return {name: {number: float(getattr(found, number)) for number in numbers}}


def _irreps(irreps: Any) -> list[list[int]]:
    """[multiplicity, l, parity] of each block."""
    return [[int(mul), int(ir.l), int(ir.p)] for mul, ir in irreps]


def _arrays(model: Any) -> dict[str, Any]:
    Z = len(model.atomic_numbers)
    found: dict[str, Any] = {
        "numbers": model.atomic_numbers,
        "frequencies": model.radial_embedding.bessel_fn.bessel_weights.reshape(-1),
        "prefactor": model.radial_embedding.bessel_fn.prefactor,
        "E0": model.atomic_energies_fn.atomic_energies.reshape(-1),
        "scale": model.scale_shift.scale.reshape(-1)[0] if hasattr(model, "scale_shift") else torch.tensor(1.0),
        "shift": model.scale_shift.shift.reshape(-1)[0] if hasattr(model, "scale_shift") else torch.tensor(0.0),
        "embedding": model.node_embedding.linear(torch.eye(Z)),
    }
    for t, (block, product) in enumerate(zip(model.interactions, model.products, strict=True)):
        found |= {f"{t}.up.{ir}": W for ir, W in _matrices(block.linear_up).items()}
        found |= {f"{t}.mix.{ir}": W for ir, W in _matrices(block.linear).items()}
        found |= {f"{t}.update.{ir}": W for ir, W in _matrices(product.linear).items()}
        for z, one in enumerate(torch.eye(Z)):
            skip = _matrices(block.skip_tp, one)
            found |= {f"{t}.skip.{z}.{ir}": W for ir, W in skip.items()}
        for k, layer in enumerate(list(block.conv_tp_weights)):
            # e3nn's layer: act(x W/√(fan-in)) times a constant that makes the second moment one
            found[f"{t}.radial.{k}"] = layer.weight * (layer.var_out / (layer.h_in * layer.var_in)) ** 0.5
            if layer.act is not None:
                found[f"{t}.radial.{k}.act"] = _silu_scale(layer.act)
        found |= {f"{t}.coupling.{k}": C for k, C in enumerate(_couplings(block.conv_tp))}
        for o, contraction in enumerate(product.symmetric_contractions.contractions):
            top = len(contraction.weights) + 1
            for nu in range(1, top + 1):
                found[f"{t}.U.{o}.{nu}"] = _symmetrized(getattr(contraction, f"U_matrix_{nu}").numpy(), nu)
                w = contraction.weights_max if nu == top else contraction.weights[top - 1 - nu]
                found[f"{t}.product.{o}.{nu}"] = w.expand(Z, -1, -1)
    for r, readout in enumerate(model.readouts):
        if type(readout).__name__ == "LinearReadoutBlock":
            found[f"readout.{r}.0"] = _matrices(readout.linear)["0e"]
        else:
            found[f"readout.{r}.0"], found[f"readout.{r}.1"] = (
                _matrices(l)["0e"] for l in (readout.linear_1, readout.linear_2)
            )
            found[f"readout.{r}.act"] = _silu_scale(readout.non_linearity.acts[0])
    return found


def _matrices(linear: Any, element: Tensor | None = None) -> dict[str, Tensor]:
    """An equivariant map as a dense matrix an irrep, [channels in, channels out], by what it does to component 0; of a product
    with elements, that of one."""
    before, after = (linear.irreps_in if element is None else linear.irreps_in1), linear.irreps_out
    places, wanted = _component_zero(before), _component_zero(after)
    matrices = {}
    for irrep, rows in places.items():
        if irrep in wanted:
            x = torch.zeros(len(rows), before.dim)
            x[torch.arange(len(rows)), torch.tensor(rows)] = 1
            y = linear(x) if element is None else linear(x, element.expand(len(x), -1))
            matrices[f"{irrep[0]}{'e' if irrep[1] == 1 else 'o'}"] = y[:, wanted[irrep]]
    return matrices


def _component_zero(irreps: Any) -> dict[Irrep, list[int]]:
    places: dict[Irrep, list[int]] = {}
    start = 0
    for mul, l, p in _irreps(irreps):
        places.setdefault((l, p), []).extend(range(start, start + mul * (2 * l + 1), 2 * l + 1))
        start += mul * (2 * l + 1)
    return places


def _couplings(tp: Any) -> list[Tensor]:
    """For each path [2l₁+1, 2l₂+1, 2l₃+1]: what the tensor product makes of unit vectors in its first channel."""
    starts = [[s.start for s in irreps.slices()] for irreps in (tp.irreps_in1, tp.irreps_in2, tp.irreps_out)]
    found, offset = [], 0
    for path in tp.instructions:
        here = [start[i] for start, i in zip(starts, (path.i_in1, path.i_in2, path.i_out))]
        blocks = [
            irreps[i] for irreps, i in zip((tp.irreps_in1, tp.irreps_in2, tp.irreps_out), (path.i_in1, path.i_in2, path.i_out))
        ]
        mode, (a, b, c) = path.connection_mode, [2 * ir.l + 1 for _, ir in blocks]
        if mode != "uvu" or blocks[1].mul != 1:
            raise ForeignModelError(
                f"mace-torch: a tensor product with connections {mode}; this importer supports uvu with one Y_l"
            )
        x, y = torch.zeros(a * b, tp.irreps_in1.dim), torch.zeros(a * b, tp.irreps_in2.dim)
        k = torch.arange(a * b)
        x[k, here[0] + k // b], y[k, here[1] + k % b] = 1, 1
        w = torch.zeros(a * b, tp.weight_numel)
        w[:, offset] = 1
        found.append(tp(x, y, w)[:, here[2] : here[2] + c].reshape(a, b, c))
        offset += blocks[0].mul
    return found


def _symmetrized(U: np.ndarray, nu: int) -> np.ndarray:
    """U [(2L+1,) rows × ν, k] as coefficients of monomials [k, 2L+1, monomials]: all index tuples that sort to one are added."""
    U = U if U.ndim == nu + 2 else U[None]
    n, k = U.shape[1], U.shape[-1]
    tuples = np.sort(np.indices((n,) * nu).reshape(nu, -1), axis=0)
    _, monomial = np.unique(np.ravel_multi_index(tuple(tuples), (n,) * nu), return_inverse=True)
    sums = np.zeros((monomial.max() + 1, U.shape[0] * k))
    np.add.at(sums, monomial, U.reshape(U.shape[0], -1, k).transpose(1, 0, 2).reshape(-1, U.shape[0] * k))
    return np.ascontiguousarray(sums.reshape(-1, U.shape[0], k).transpose(2, 1, 0))


def _silu_scale(act: Callable[[Tensor], Tensor]) -> float:
    x = torch.linspace(-4, 4, 9)
    silu = torch.nn.functional.silu(x)
    scale = float(act(x)[-1] / silu[-1])
    if not torch.allclose(act(x), scale * silu, rtol=1e-12, atol=1e-12):
        raise ForeignModelError(f"mace-torch: the gate is {act}; this importer supports silu")
    return scale


def ask(model: Any, numbers: np.ndarray | Sequence[int], positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (eV/Å) of a cluster by the peer's own model, in the precision it has."""
    dtype, n = next(model.parameters()).dtype, len(numbers)
    R = torch.tensor(positions, dtype=dtype)
    d = torch.cdist(R, R) + 2 * float(model.r_max) * torch.eye(n, dtype=dtype)
    edges = torch.nonzero(d < float(model.r_max)).T.contiguous()
    none = torch.zeros(edges.shape[1], 3, dtype=dtype)
    out = model(
        {
            "positions": R.requires_grad_(), "edge_index": edges, "shifts": none, "unit_shifts": none,
            "node_attrs": (torch.as_tensor(np.asarray(numbers))[:, None] == model.atomic_numbers).to(dtype),
            "cell": torch.zeros(3, 3, dtype=dtype), "batch": torch.zeros(n, dtype=torch.long),
            "ptr": torch.tensor([0, n]), "head": torch.zeros(1, dtype=torch.long),
        }
    )  # fmt: skip
    return float(out["energy"].detach()[0]), out["forces"].detach().numpy()
