"""What trajectories and forces mean: numbers with errors and units, from arrays and structures.

| module | holds |
|---|---|
| `statistics` | means of correlated data, autocorrelation times, block averages |
| `temperature`, `rigid` | temperature over the degrees of freedom that are there |
| `drift` | is energy conserved, and what to do if not |
| `distributions`, `reweight` | distances and angles, in the model's ensemble and in its reference's |
| `rdf`, `diffusion`, `spectra` | g(r), wandering, swinging |
| `motions` | what positions and velocities must be to be analyzed |
| `vibrations` | harmonic modes from any source of forces |
"""

from adiabat.analysis.diffusion import diffusion_coefficient, mean_square_displacement, unwrap, without_drift
from adiabat.analysis.distributions import Histogram, angles, distances, histogram, overlap
from adiabat.analysis.drift import Drift, energy_drift
from adiabat.analysis.quantity import Quantity
from adiabat.analysis.rdf import RDF, rdf
from adiabat.analysis.reweight import Comparison, Weights, corrected, reweight
from adiabat.analysis.rigid import degrees_of_freedom, rigid_motions
from adiabat.analysis.spectra import Spectrum, power_spectrum, velocity_autocorrelation
from adiabat.analysis.statistics import autocorrelation_time, block_averages, mean
from adiabat.analysis.temperature import kinetic_energy, temperature_K, thermal_interval
from adiabat.analysis.vibrations import Vibrations, harmonic_frequencies

__all__ = [
    "RDF", "Comparison", "Drift", "Histogram", "Quantity", "Spectrum", "Vibrations", "Weights", "angles",
    "autocorrelation_time", "block_averages", "corrected", "degrees_of_freedom", "diffusion_coefficient", "distances", "energy_drift",
    "harmonic_frequencies", "histogram", "kinetic_energy", "mean", "mean_square_displacement", "overlap", "power_spectrum",
    "rdf", "reweight", "rigid_motions", "temperature_K", "thermal_interval", "unwrap", "velocity_autocorrelation",
    "without_drift",
]  # fmt: skip
