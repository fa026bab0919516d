"""The works a run stands on: a text to read, a BibTeX entry to paste."""

from __future__ import annotations

from adiabat.report.forms import Citation, Citations

# key: (entry type, authors, title, where, year, doi)
_WORKS = {
    "ase": ("article", "Larsen, A. H. and Mortensen, J. J. and Blomqvist, J. and others", "The atomic simulation environment—a Python library for working with atoms", "J. Phys.: Condens. Matter 29, 273002", 2017, "10.1088/1361-648X/aa680e"),
    "pytorch": ("inproceedings", "Paszke, A. and Gross, S. and Massa, F. and others", "PyTorch: An imperative style, high-performance deep learning library", "Advances in Neural Information Processing Systems 32", 2019, None),
    "numpy": ("article", "Harris, C. R. and Millman, K. J. and van der Walt, S. J. and others", "Array programming with NumPy", "Nature 585, 357", 2020, "10.1038/s41586-020-2649-2"),
    "scipy": ("article", "Virtanen, P. and Gommers, R. and Oliphant, T. E. and others", "SciPy 1.0: fundamental algorithms for scientific computing in Python", "Nat. Methods 17, 261", 2020, "10.1038/s41592-019-0686-2"),
    "pyscf": ("article", "Sun, Q. and Zhang, X. and Banerjee, S. and others", "Recent developments in the PySCF program package", "J. Chem. Phys. 153, 024109", 2020, "10.1063/5.0006074"),
    "gpaw": ("article", "Mortensen, J. J. and Larsen, A. H. and Kuisma, M. and others", "GPAW: An open Python package for electronic structure calculations", "J. Chem. Phys. 160, 092503", 2024, "10.1063/5.0182685"),
    "libxc": ("article", "Lehtola, S. and Steigemann, C. and Oliveira, M. J. T. and Marques, M. A. L.", "Recent developments in libxc — A comprehensive library of functionals for density functional theory", "SoftwareX 7, 1", 2018, "10.1016/j.softx.2017.11.002"),
    "gfn1-xtb": ("article", "Grimme, S. and Bannwarth, C. and Shushkov, P.", "A robust and accurate tight-binding quantum chemical method for structures, vibrational frequencies, and noncovalent interactions of large molecular systems parametrized for all spd-block elements (Z = 1–86)", "J. Chem. Theory Comput. 13, 1989", 2017, "10.1021/acs.jctc.7b00118"),
    "gfn2-xtb": ("article", "Bannwarth, C. and Ehlert, S. and Grimme, S.", "GFN2-xTB—An accurate and broadly parametrized self-consistent tight-binding quantum chemical method with multipole electrostatics and density-dependent dispersion contributions", "J. Chem. Theory Comput. 15, 1652", 2019, "10.1021/acs.jctc.8b01176"),
    "pbe": ("article", "Perdew, J. P. and Burke, K. and Ernzerhof, M.", "Generalized gradient approximation made simple", "Phys. Rev. Lett. 77, 3865", 1996, "10.1103/PhysRevLett.77.3865"),
    "def2": ("article", "Weigend, F. and Ahlrichs, R.", "Balanced basis sets of split valence, triple zeta valence and quadruple zeta valence quality for H to Rn", "Phys. Chem. Chem. Phys. 7, 3297", 2005, "10.1039/b508541a"),
    "bpnn": ("article", "Behler, J. and Parrinello, M.", "Generalized neural-network representation of high-dimensional potential-energy surfaces", "Phys. Rev. Lett. 98, 146401", 2007, "10.1103/PhysRevLett.98.146401"),
    "symmetry-functions": ("article", "Behler, J.", "Atom-centered symmetry functions for constructing high-dimensional neural network potentials", "J. Chem. Phys. 134, 074106", 2011, "10.1063/1.3553717"),
    "ace": ("article", "Drautz, R.", "Atomic cluster expansion for accurate and transferable interatomic potentials", "Phys. Rev. B 99, 014104", 2019, "10.1103/PhysRevB.99.014104"),
    "tensor-reduced": ("article", "Darby, J. P. and Kovács, D. P. and Batatia, I. and Caro, M. A. and Hart, G. L. W. and Ortner, C. and Csányi, G.", "Tensor-reduced atomic density representations", "Phys. Rev. Lett. 131, 028001", 2023, "10.1103/PhysRevLett.131.028001"),
    "pace": ("article", "Lysogorskiy, Y. and Oord, C. van der and Bochkarev, A. and others", "Performant implementation of the atomic cluster expansion (PACE) and application to copper and silicon", "npj Comput. Mater. 7, 97", 2021, "10.1038/s41524-021-00559-9"),
    "ani": ("article", "Smith, J. S. and Isayev, O. and Roitberg, A. E.", "ANI-1: an extensible neural network potential with DFT accuracy at force field computational cost", "Chem. Sci. 8, 3192", 2017, "10.1039/C6SC05720A"),
    "mace": ("inproceedings", "Batatia, I. and Kovács, D. P. and Simm, G. N. C. and Ortner, C. and Csányi, G.", "MACE: Higher order equivariant message passing neural networks for fast and accurate force fields", "Advances in Neural Information Processing Systems 35", 2022, None),
    "painn": ("inproceedings", "Schütt, K. T. and Unke, O. T. and Gastegger, M.", "Equivariant message passing for the prediction of tensorial properties and molecular spectra", "Proc. 38th International Conference on Machine Learning", 2021, None),
    "mtp": ("article", "Shapeev, A. V.", "Moment tensor potentials: A class of systematically improvable interatomic potentials", "Multiscale Model. Simul. 14, 1153", 2016, "10.1137/15M1054183"),
    "snap": ("article", "Thompson, A. P. and Swiler, L. P. and Trott, C. R. and Foiles, S. M. and Tucker, G. J.", "Spectral neighbor analysis method for automated generation of quantum-accurate interatomic potentials", "J. Comput. Phys. 285, 316", 2015, "10.1016/j.jcp.2014.12.018"),
    "gap": ("article", "Bartók, A. P. and Payne, M. C. and Kondor, R. and Csányi, G.", "Gaussian approximation potentials: The accuracy of quantum mechanics, without the electrons", "Phys. Rev. Lett. 104, 136403", 2010, "10.1103/PhysRevLett.104.136403"),
    "soap": ("article", "Bartók, A. P. and Kondor, R. and Csányi, G.", "On representing chemical environments", "Phys. Rev. B 87, 184115", 2013, "10.1103/PhysRevB.87.184115"),
    "nep": ("article", "Fan, Z. and Zeng, Z. and Zhang, C. and others", "Neuroevolution machine learning potentials: Combining high accuracy and low cost in atomistic simulations and application to heat transport", "Phys. Rev. B 104, 104309", 2021, "10.1103/PhysRevB.104.104309"),
    "deeppot": ("article", "Zhang, L. and Han, J. and Wang, H. and Car, R. and E, W.", "Deep potential molecular dynamics: A scalable model with the accuracy of quantum mechanics", "Phys. Rev. Lett. 120, 143001", 2018, "10.1103/PhysRevLett.120.143001"),
    "eam": ("article", "Daw, M. S. and Baskes, M. I.", "Embedded-atom method: Derivation and application to impurities, surfaces, and other defects in metals", "Phys. Rev. B 29, 6443", 1984, "10.1103/PhysRevB.29.6443"),
    "morse": ("article", "Morse, P. M.", "Diatomic molecules according to the wave mechanics. II. Vibrational levels", "Phys. Rev. 34, 57", 1929, "10.1103/PhysRev.34.57"),
    "zbl": ("book", "Ziegler, J. F. and Biersack, J. P. and Littmark, U.", "The stopping and range of ions in solids", "Pergamon, New York", 1985, None),
    "query-by-committee": ("inproceedings", "Seung, H. S. and Opper, M. and Sompolinsky, H.", "Query by committee", "Proc. 5th Annual Workshop on Computational Learning Theory, 287", 1992, "10.1145/130385.130417"),
    "active-learning": ("article", "Smith, J. S. and Nebgen, B. and Lubbers, N. and Isayev, O. and Roitberg, A. E.", "Less is more: Sampling chemical space with active learning", "J. Chem. Phys. 148, 241733", 2018, "10.1063/1.5023802"),
    "committee": ("article", "Schran, C. and Brezina, K. and Marsalek, O.", "Committee neural network potentials control generalization errors and enable active learning", "J. Chem. Phys. 153, 104105", 2020, "10.1063/5.0016004"),
    "farthest-point": ("article", "Gonzalez, T. F.", "Clustering to minimize the maximum intercluster distance", "Theor. Comput. Sci. 38, 293", 1985, "10.1016/0304-3975(85)90224-5"),
    "adamw": ("inproceedings", "Loshchilov, I. and Hutter, F.", "Decoupled weight decay regularization", "International Conference on Learning Representations", 2019, None),
    "velocity-verlet": ("article", "Swope, W. C. and Andersen, H. C. and Berens, P. H. and Wilson, K. R.", "A computer simulation method for the calculation of equilibrium constants for the formation of physical clusters of molecules: Application to small water clusters", "J. Chem. Phys. 76, 637", 1982, "10.1063/1.442716"),
    "baoab": ("article", "Leimkuhler, B. and Matthews, C.", "Robust and efficient configurational molecular sampling via Langevin dynamics", "J. Chem. Phys. 138, 174102", 2013, "10.1063/1.4802990"),
    "reweighting": ("article", "Zwanzig, R. W.", "High-temperature equation of state by a perturbation method. I. Nonpolar gases", "J. Chem. Phys. 22, 1420", 1954, "10.1063/1.1740409"),
}  # fmt: skip


def _citation(key: str) -> Citation:
    kind, authors, title, where, year, doi = _WORKS[key]
    names = authors.split(" and ")
    first = ", ".join(" ".join(reversed(name.split(", "))) if ", " in name else "et al." for name in names[:4])
    first += " et al." if len(names) > 4 else ""
    place = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}[kind]
    fields = {"author": authors, "title": "{" + title + "}"}
    if kind == "article":
        head, _, page = where.rpartition(", ")
        journal, _, volume = head.rpartition(" ")
        fields |= {"journal": journal, "volume": volume, "pages": page}
    else:
        fields[place] = where
    fields |= {"year": str(year)} | ({"doi": doi} if doi else {})
    entry = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return Citation(key=key, text=f"{first}, {title}, {where} ({year}).", doi=doi, bibtex=f"@{kind}{{{key},\n{entry}\n}}")


# What a family of potentials stands on.
FAMILIES: dict[str, tuple[str, ...]] = {
    "bpnn": ("bpnn", "symmetry-functions"), "ani": ("ani", "bpnn"), "ace": ("ace", "tensor-reduced", "pace"), "pace": ("ace", "pace"),
    "mace": ("mace", "ace"), "painn": ("painn",), "mtp": ("mtp",), "snap": ("snap",), "gap": ("gap", "soap"), "nep": ("nep",),
    "deeppot": ("deeppot",), "eam": ("eam",), "morse": ("morse",), "zbl": ("zbl",),
}  # fmt: skip

WORKS: dict[str, Citation] = {key: _citation(key) for key in _WORKS}


def cited(data: Citations) -> tuple[list[Citation], list[str]]:
    """The works of a run in the order named, and the keys that no one here knows.

    >>> [c.doi for c in cited(Citations(used=["pbe"]))[0]]
    ['10.1103/PhysRevLett.77.3865']
    """
    keys = list(dict.fromkeys(data.used))
    return [WORKS[key] for key in keys if key in WORKS] + data.more, [key for key in keys if key not in WORKS]
