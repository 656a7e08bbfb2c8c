"""Import MXNet 1.9.1, which was written for NumPy 1.x, beside the NumPy of today.

MXNet takes names from NumPy that NumPy has dropped since. `import_mxnet` lends it those
that are missing, for as long as its import lasts, and takes them back: a program's own
NumPy stays as it is, and `numpy.int` is as absent from it as ever. What MXNet needs
later, when its functions run, it finds in a view of NumPy that only its modules have.

NumPy's release notes say what has gone and what takes its place:
https://numpy.org/doc/stable/release/1.20.0-notes.html (types, financial functions) and
https://numpy.org/doc/stable/numpy_2_0_migration_guide.html (all else).
"""

import importlib.util
import pathlib
import sys
import types
import typing
import warnings
from importlib import metadata

import numpy as np

NEWEST = (2, 5)  # of NumPy that MXNet's import and operators were tried with


class Name(typing.NamedTuple):
    """What to lend under a name, and the modules of MXNet that use it.

    A function has to be NumPy's own where there is one: MXNet overrides it for its
    arrays by what it is.
    """

    value: object
    users: tuple[str, ...]


def _in1d(ar1, ar2, assume_unique=False, invert=False):
    return np.isin(np.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def _msort(a):
    return np.sort(a, axis=0)


def _financial(name):
    def gone(*_args, **_settings):
        raise NotImplementedError(
            f"NumPy has no {name} since 1.20, so that MXNet's can't compute. The "
            "package numpy-financial has it."
        )

    return gone


_FALLBACK = ("mxnet.numpy.fallback",)
_UTILS = ("mxnet.numpy.utils",)
_DISPATCH = ("mxnet.numpy_dispatch_protocol",)

NAMES = {
    "bool": Name(
        bool,
        ("mxnet.numpy.utils", "mxnet.numpy.multiarray")
        + ("mxnet.ndarray.numpy._op", "mxnet.symbol.numpy._symbol")
        + ("mxnet.test_utils",),
    ),
    "int": Name(int, ("mxnet.test_utils",)),
    "compat": Name(
        types.SimpleNamespace(basestring=str),
        ("mxnet.ndarray.numpy._op", "mxnet.symbol.numpy._symbol"),
    ),
    "Inf": Name(np.inf, ("mxnet.gluon.contrib.estimator.event_handler",)),
    "NAN": Name(np.nan, _UTILS),
    "NINF": Name(-np.inf, _UTILS),
    "NZERO": Name(-0.0, _UTILS),
    "NaN": Name(np.nan, _UTILS),
    "PINF": Name(np.inf, _UTILS),
    "PZERO": Name(0.0, _UTILS),
    "product": Name(np.prod, _DISPATCH),
    "round_": Name(np.round, _DISPATCH),
    "sometrue": Name(np.any, _DISPATCH),
    "alltrue": Name(np.all, _FALLBACK),
    "in1d": Name(_in1d, _FALLBACK),
    "msort": Name(_msort, _FALLBACK),
    "trapz": Name(getattr(np, "trapezoid", None), _FALLBACK),
    "mirr": Name(_financial("mirr"), _FALLBACK),
    "npv": Name(_financial("npv"), _FALLBACK),
    "pmt": Name(_financial("pmt"), _FALLBACK),
    "ppmt": Name(_financial("ppmt"), _FALLBACK),
    "pv": Name(_financial("pv"), _FALLBACK),
    "rate": Name(_financial("rate"), _FALLBACK),
}


def missing() -> dict[str, object]:
    """{name: what is lent to MXNet} of those that the NumPy here does not have."""
    return {name: n.value for name, n in NAMES.items() if not _has(name)}


def check_installed() -> None:
    """Raise ImportError, with what to do, where MXNet is missing or there twice."""
    if "mxnet" in sys.modules:
        return
    found = _installed()
    if len(found) > 1:
        raise ImportError(
            f"Both builds of MXNet are installed, {' and '.join(found)}, and each has "
            "overwritten a part of the other. Run "
            f"`{sys.executable} -m pip uninstall --yes {' '.join(_BUILDS)}`, and then "
            f"`{_PIP} --no-deps` with one of the two."
        )
    if _folder() is None:
        raise ImportError(
            "No MXNet is installed here. `make env` installs the build that fits this "
            "machine, and so does `python -m batch_norm_course` where pip installed "
            "the course. The extras batch-norm-course[cpu] and [gpu] name a build, and "
            "bring the older NumPy that it asks for."
        )


def import_mxnet() -> None:
    """Import MXNet, and lend it the names that this NumPy has dropped.

    With an MXNet that is imported already it does nothing. Raises ImportError, with
    what to do, where something that MXNet needs is missing, where MXNet is there in
    part, or where NumPy was replaced on disk after this process had imported it.
    """
    if "mxnet" in sys.modules:
        return
    if importlib.util.find_spec("distutils") is None:
        raise ImportError(
            "MXNet imports distutils, which Python has dropped in 3.12 and setuptools "
            f"brings. Run `{_PIP} setuptools`."
        )
    _check_numpy()
    # What an import that failed left behind would be taken for a part of this one.
    for name in [name for name in sys.modules if name.startswith("mxnet.")]:
        del sys.modules[name]
    lent = missing()
    for name, value in lent.items():
        setattr(np, name, value)
    # These take a third of the import. MXNet does without: scikit-learn is for the base
    # of a class that it has deprecated (FeedForward in mxnet/model.py), and scipy.stats
    # for tests and for one way to choose the ranges of quantization.
    hidden = [name for name in ("sklearn", "scipy.stats") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None
    try:
        importlib.import_module("mxnet")
    except ModuleNotFoundError as error:
        if (error.name or "mxnet").startswith("mxnet"):
            raise _not_whole(error) from error
        raise ImportError(
            f"MXNet imports {error.name}, which is not installed. Run "
            f"`{_PIP} {error.name}`."
        ) from error
    except Exception as error:
        raise _not_whole(error) from error
    finally:
        for name in lent:
            delattr(np, name)
        for name in hidden:
            del sys.modules[name]
    later = _Later("scipy.stats")
    sys.modules["mxnet.contrib.quantization"].stats = later
    sys.modules["mxnet.test_utils"].ss = later
    _give_view(lent)


_PIP = f"{sys.executable} -m pip install"
_BUILDS = "mxnet", "mxnet-cu112"


class _Later(types.ModuleType):
    """A module that is imported when it is first used."""

    def __getattr__(self, name):
        return getattr(importlib.import_module(self.__name__), name)


def _has(name):
    with warnings.catch_warnings():  # NumPy 1.x warns of names that will go
        warnings.simplefilter("ignore")
        return hasattr(np, name)


def _folder():
    """Where MXNet lies, or None; a folder with links of ours alone is none."""
    spec = importlib.util.find_spec("mxnet")
    return pathlib.Path(spec.origin).parent.parent if spec and spec.origin else None


def _installed():
    """The builds of MXNet beside the package that would be imported."""
    # By name: to read what all packages say of themselves takes a tenth of the import.
    return [
        f"{build}=={found.version}"
        for build in _BUILDS
        for found in metadata.distributions(name=build, path=[str(_folder())])
    ]


def _not_whole(error):
    return ImportError(
        f"MXNet could not be imported beside NumPy {np.__version__}: {error}. If its "
        f"installation was cut short, `{_PIP} --force-reinstall --no-deps "
        f"{(_installed() or ['mxnet==1.9.1'])[0]}` repairs it."
    )


def _give_view(lent):
    """Let MXNet's modules see NumPy with what was lent, also when they run."""
    view = types.ModuleType("numpy")
    vars(view).update(vars(np), **lent)
    for name, module in list(sys.modules.items()):
        if name.startswith("mxnet.") and module is not None:
            for alias in [a for a, value in vars(module).items() if value is np]:
                setattr(module, alias, view)
    # Operators get their parameters as text, which these two modules make.
    for name in "mxnet._ctypes.ndarray", "mxnet._ctypes.symbol":
        sys.modules[name].str = _text
    if not hasattr(np.ndarray, "tostring"):
        of_records = types.ModuleType("numpy")
        vars(of_records).update(vars(view), asarray=_asarray)
        sys.modules["mxnet.recordio"].np = of_records


def _text(value):
    """A parameter as text: NumPy 2 writes `(np.int64(2),)`, which MXNet can't read."""
    text = str(value)
    if isinstance(value, tuple | list) and "np." in text:
        with np.printoptions(legacy="1.25"):
            return str(value)
    return text


class _Array(np.ndarray):
    tostring = np.ndarray.tobytes  # its name until NumPy 2.3


def _asarray(*arguments, **settings):
    return np.asarray(*arguments, **settings).view(_Array)


def _check_numpy():
    loaded = getattr(np, "__version__", "of no version")
    try:
        on_disk = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        on_disk = loaded
    if loaded != on_disk:
        raise ImportError(
            f"This process has imported NumPy {loaded}, but {on_disk} is installed "
            "now. Restart the kernel, or the program, and run it from its beginning."
        )
    if tuple(map(int, loaded.split(".")[:2])) > NEWEST:
        newest = ".".join(map(str, NEWEST))
        warnings.warn(
            f"NumPy {loaded} is newer than {newest}, the newest that MXNet was tried "
            f"with; if something fails, `{_PIP} 'numpy<{NEWEST[0]}.{NEWEST[1] + 1}'` "
            "may help.",
            stacklevel=3,
        )
