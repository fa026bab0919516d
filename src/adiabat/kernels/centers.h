// Both directions over all centers, shared among threads: `Kernel<T>` and what a thread keeps, `Center<T>`, are defined above.
template <class T> static void forward(const Symmetry &a) {
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) kernel.forward(n);
  }
}

// An edge's gradient belongs to its own center: nobody else writes it. Edges beyond the cutoff keep the zeros they came with.
template <class T> static void backward(const Symmetry &a) {
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) kernel.backward(n);
  }
}
