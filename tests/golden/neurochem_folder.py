"""An ANI model in NeuroChem's files, written from extracted arrays (float32, as that form has them); `make_ani` lets torchani read it."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np


def write(folder: Path, settings: dict, arrays: dict) -> Path:
    """The `.info` file."""
    symbols = settings["symbols"]
    listed = lambda x: "[" + ",".join(f"{v:.17g}" for v in np.atleast_1d(x)) + "]"  # noqa: E731
    lines = {"Rcr": f"{settings['cutoff']}", "Rca": f"{settings['angular_cutoff']}", "EtaR": listed(arrays["eta"]),
             "ShfR": listed(arrays["radial_shifts"]), "Zeta": listed(arrays["zeta"]), "ShfZ": listed(arrays["sections"]),
             "EtaA": listed(arrays["angular_eta"]), "ShfA": listed(arrays["angular_shifts"]), "Atyp": f"[{','.join(symbols)}]"}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.params").write_text("TM = 1\n" + "".join(f"{name} = {text}\n" for name, text in lines.items()))
    (folder / "sae.dat").write_text("".join(f"{s},{k}={arrays['self_energies'][k]:.15g}\n" for k, s in enumerate(symbols)))
    for m in range(settings["members"]):
        place = folder / f"train{m}" / "networks"
        place.mkdir(parents=True, exist_ok=True)
        for symbol in symbols:
            depth, text = settings["layers"][symbol], "inputsize=1;\n"
            for t in range(depth):
                weight, bias = (np.asarray(arrays[f"{m}.{symbol}.{t}.{part}"], dtype="<f4") for part in ("weight", "bias"))
                names = [f"ANN-{symbol}-l{t + 1}.{end}" for end in ("wparam", "bparam")]
                for name, numbers in zip(names, (weight, bias)):
                    numbers.tofile(place / name)
                fields = {
                    "nodes": weight.shape[0], "activation": 6 if t == depth - 1 else 9, "type": 0, "blocksize": weight.shape[1],
                    "dropout": 0, "dropset": 0, "maskupdate": 0, "maxnorm": 0, "norm": 3.0, "normupdate": 0, "l2norm": 0,
                    "l2valu": 0, "btchnorm": 0, "weights": f"FILE:{names[0]}[{weight.size}]", "biases": f"FILE:{names[1]}[{bias.size}]",
                }  # fmt: skip
                text += "    layer [\n" + "".join(f"        {k}={v};\n" for k, v in fields.items()) + "]\n"
            (place / f"ANN-{symbol}.nnf").write_bytes(b"ANN=\n" + bz2.compress((text + "$").encode()))
    info = folder / "m.info"
    info.write_text(f"m.params\nsae.dat\ntrain\n{settings['members']}\n")
    return info
