"""What is measured of MXNet, in a process of its own: see processes.py.

python -m benchmarks.in_mxnet

Prints tables as JSON. utils chooses the threads when it loads MXNet.
"""

import json

from benchmarks import bandwidth, layers, networks


def main():
    attainable, cache = bandwidth.attainable(), bandwidth.last_cache()
    large = bandwidth.beyond_cache(cache)
    beyond = layers.measure([large], layers.COMPILED)
    if layers.can_compile():
        beyond.append(layers.loops(large))
    norms, trainings = layers.measure(), networks.measure()
    report = {
        "attainable": [attainable],
        "shares": bandwidth.shares(norms + beyond, attainable["memory GB/s"], cache),
        "layers": norms,
        "growth": layers.growth(),
        "networks": trainings,
        "pipeline": [pipeline(trainings)],
    }
    print(json.dumps(report))


def pipeline(rows):
    """Seconds of an epoch's input, and its share of BN-LeNet's epoch in `rows`."""
    rate = {(row["network"], row["contender"]): row["images/s"] for row in rows}
    seconds = networks.pipeline()
    epoch = 60_000 / rate["BN-LeNet", "Gluon"]
    return {"seconds for 60,000 pictures": seconds, "of BN-LeNet": seconds / epoch}


if __name__ == "__main__":
    main()
