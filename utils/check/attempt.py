"""Whether a reader has begun: a cell to fill has dots in it, `...`."""

import dis
import types
from typing import Any

# What a body of nothing but dots, `pass` or a docstring is compiled to.
_IDLE = {"RESUME", "NOP", "POP_TOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}


def is_blank(work: Any) -> bool:
    """Whether nothing is written: dots, None, or a body with no code in it."""
    if work is None or work is ...:
        return True
    if (code := _code(work)) is None:
        return False
    for step in dis.get_instructions(code):
        if step.opname not in _IDLE:
            return False
        if "CONST" in step.opname and step.argval not in (None, ...):
            return False
    return True


def has_dots(work: Any) -> bool:
    """Whether dots are left in the code of a function or of a class's methods."""
    code = _code(work)
    return code is not None and "Ellipsis" in repr(code.co_consts)


def _code(work):
    """The code of a function, or of the forward pass of a block or of its class."""
    for name in "hybrid_forward", "forward":
        owner = work if isinstance(work, type) else type(work)
        method = getattr(owner, name, None)
        # Gluon's own methods say nothing of the reader's.
        if method is not None and not method.__module__.startswith("mxnet."):
            work = method
            break
    work = getattr(work, "__func__", work)
    return work.__code__ if isinstance(work, types.FunctionType) else None
