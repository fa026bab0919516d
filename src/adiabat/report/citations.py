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


WORKS: dict[str, Citation] = {key: _citation(key) for key in _WORKS}


def cited(data: Citations) -> tuple[list[Citation], list[str]]:
    """The works of a run in the order named, and the keys that no one here knows.

    >>> [c.doi for c in cited(Citations(used=["pbe"]))[0]]
    ['10.1103/PhysRevLett.77.3865']
    """
    keys = list(dict.fromkeys(data.used))
    return [WORKS[key] for key in keys if key in WORKS] + data.more, [key for key in keys if key not in WORKS]
