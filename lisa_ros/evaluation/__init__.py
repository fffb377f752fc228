"""gIoU and cIoU, and the benchmarks that report them."""
