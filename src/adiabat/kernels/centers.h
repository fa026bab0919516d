// Both directions over all centers, shared among threads: `Kernel<T>` and what a thread keeps, `Center<T>`, are defined above.
template <class T> static void forward(const Symmetry &a) {
  int fault = 0;
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) safely(fault, [&] { kernel.forward(n); });
  }
  if (fault) throw std::bad_alloc();
}

// An edge's gradient belongs to its own center: nobody else writes it. Edges beyond the cutoff keep the zeros they came with.
template <class T> static void backward(const Symmetry &a) {
  int fault = 0;
#pragma omp parallel num_threads(a.threads)
  {
    Center<T> c;
    Kernel<T> kernel(a, c);
#pragma omp for schedule(dynamic, 8)
    for (I n = 0; n < a.centers; n++) safely(fault, [&] { kernel.backward(n); });
  }
  if (fault) throw std::bad_alloc();
}
