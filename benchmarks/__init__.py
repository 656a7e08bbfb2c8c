"""Speed and memory of batch normalization: `make bench`, or `python -m benchmarks`.

layers: one layer in each formulation. networks: training steps and how they are fed.
pytorch: both in PyTorch. bandwidth: what the machine can do. processes: each library
in processes of its own, in turns, with one thread and with all. memory: peak memory
and page faults. targets: what chapters/targets.toml asks for. compare: two saved runs.
Each figure is a median: compare ratios within one run, never seconds of two runs.
"""
