"""One paper a file; no model imports another. `MODELS` is the registry: configurations, the command line, the law tests and
model files know a family by its line here.

| name | class | paper |
|---|---|---|
| `lennard_jones` | `LennardJones` | Jones 1924 |
| `morse` | `Morse` | Morse 1929 |
| `buckingham` | `Buckingham` | Buckingham 1938 |
| `zbl` | `ZBL` | Ziegler, Biersack, Littmark 1985 |
| `nep_zbl` | `NEPZBL` | Liu et al. 2023 |
| `bpnn` | `BPNN` | Behler and Parrinello 2007 |
| `ani` | `ANI` | Smith, Isayev and Roitberg 2017 |
| `eam` | `EAM` | Daw and Baskes 1984 |
| `deeppot` | `DeepPot` | Zhang et al. 2018 |
| `gap` | `GAP` | Bartók et al. 2010, 2013 |
| `ace` | `ACE` | Drautz 2019; Darby et al. 2023 |
| `mace` | `MACE` | Batatia et al. 2022 |
| `mtp` | `MTP` | Shapeev 2016 |
| `nep` | `NEP` | Fan et al. 2021 |
| `snap` | `SNAP` | Thompson et al. 2015 |
| `pace` | `PACE` | Lysogorskiy et al. 2021 |
| `painn` | `PaiNN` | Schütt, Unke and Gastegger 2021 |
"""

from adiabat.models.ace import ACE
from adiabat.models.ani import ANI
from adiabat.models.bpnn import BPNN
from adiabat.models.deeppot import DeepPot
from adiabat.models.eam import EAM
from adiabat.models.gap import GAP
from adiabat.models.mace import MACE
from adiabat.models.mtp import MTP
from adiabat.models.nep import NEP
from adiabat.models.nep_zbl import NEPZBL
from adiabat.models.pace import PACE
from adiabat.models.painn import PaiNN
from adiabat.models.pair import Buckingham, LennardJones, Morse
from adiabat.models.snap import SNAP
from adiabat.models.zbl import ZBL
from adiabat.potential import Model

MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (
        LennardJones,
        Morse,
        Buckingham,
        ZBL,
        NEPZBL,
        EAM,
        BPNN,
        ANI,
        DeepPot,
        GAP,
        ACE,
        PACE,
        MTP,
        NEP,
        SNAP,
        MACE,
        PaiNN,
    )
}

__all__ = [
    "ACE",
    "ANI",
    "BPNN",
    "EAM",
    "GAP",
    "MACE",
    "MODELS",
    "MTP",
    "NEP",
    "NEPZBL",
    "PACE",
    "SNAP",
    "ZBL",
    "Buckingham",
    "DeepPot",
    "LennardJones",
    "Morse",
    "PaiNN",
]
