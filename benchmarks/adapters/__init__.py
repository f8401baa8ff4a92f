"""One module a framework, each with a class `Adapter(threads, **options)`: the workloads in the framework's own way.

No timing and no comparison here. Contract, for every adapter (it offers the suites that contestants.py names):
  versions()              -> {name: version}
  conv(shape, ring)       -> {pass: (run, arrays)}; ring holds (x, kernel, dy); results y, then [dx,] dkernel
  pool(shape, ring)       -> the same; ring holds (x, dy); results y, dx
  dense(shape, ring)      -> the same for "forward", "input", "kernel"; ring holds (x, kernel, dy); one result each
  layer(row, weights, ring) -> the same for "inference", "training"; ring holds (inputs, dy); results y, then in
                             training the gradients by the inputs and by the trained weights
  training(weights)       -> an object with batch(images, labels), step(batch) -> loss, epoch(images, labels)
  inference(weights)      -> {"call": images -> probabilities, "predict": ...}; what a user would write for one call
  native(x)               -> an input as the framework wants it, made before the clock starts
  network_training(network, weights, ring)  -> run -> loss; ring holds (native x, labels)
  network_inference(network, weights)       -> (native x -> logits, logits -> a NumPy array, channels last)
  read(result)            waits for the result and reads an element of each of its arrays
fastconv's own has kernel_clock() besides: a context manager that gives a list of the seconds spent in kernels.
`run(i)` computes with input i modulo the ring's length; `arrays(result)` gives NumPy arrays, channels last. An adapter
raises NotImplementedError for what its framework cannot do.
"""
