"""Distributed training on MXNet's parameter server, with every process watched."""
