"""Speed and memory of batch normalization: `make bench`, or `python -m benchmarks`.

layers: one layer in each formulation. networks: training steps and how they are fed.
memory: peak memory and page faults, a process each. bandwidth: what the machine can do.
Contenders take turns in one process, and each figure is a median: compare ratios
within one run, never seconds of two runs.
"""
