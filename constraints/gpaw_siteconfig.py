# How GPAW is built for Adiabat: g++ and nothing else. BLAS comes from numpy and scipy; LDA, PBE, RPBE, revPBE and PW91 are built in.
# (With libxc and a BLAS of the system: libraries = ["xc", "blas"], without the last two lines. It adds functionals, not speed.)
compiler = "g++"  # its sources are called .c and are C++: with gcc the build fails
mpi = False  # or a stray mpicc on the machine would be taken
noblas = True
nolibxc = True
