"""Detection quality, measured: workloads, faults put into them, other ways to alert, and the score."""
