"""What all workers of a distributed training know, made known to each of them."""

import weakref

import numpy as np
from mxnet import kv, nd

NO_SUM = (
    "The servers can't add up what the workers send: they have an optimizer, which "
    "takes it for gradients. Make the trainer with "
    "gluon.Trainer(..., kvstore=store, update_on_kvstore=False)."
)
KEY = 10**9  # far from a trainer's keys, which count the parameters
_known = weakref.WeakKeyDictionary()  # by store, the lengths that have a key


def gather(store: kv.KVStore, values: list[float]) -> np.ndarray:
    """The `values` of every worker, on every worker: shape (workers, len(values)).

    store: a key-value store of kind "dist_sync" whose servers have no optimizer. All
        workers have to call this alike; each waits for the slowest one.
    values: whole numbers are exact up to 2**24, others rounded to float32.
    Raises ValueError where the store can't add.
    """
    if "dist" not in store.type or "async" in store.type:
        raise ValueError(
            f"gather expects a key-value store of kind dist_sync, but got one of kind "
            f"{store.type}; only there do the servers wait for all workers."
        )
    # Each worker fills a row of its own, so that the sum has all of them, unrounded.
    rows = np.zeros((store.num_workers, len(values)), "float32")
    rows[store.rank] = values
    key, total = KEY + len(values), nd.zeros(rows.shape)
    if len(values) not in _known.setdefault(store, set()):
        store.init(key, total)
        _known[store].add(len(values))
    store.push(key, nd.array(rows))
    store.pull(key, out=total)
    found = total.asnumpy()
    if not np.array_equal(found[store.rank], rows[store.rank], equal_nan=True):
        raise ValueError(NO_SUM)
    return found
