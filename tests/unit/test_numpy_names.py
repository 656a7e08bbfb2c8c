"""MXNet beside today's NumPy: its modules, its operators, and a NumPy left as it is."""

import ast
import importlib
import os
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from utils import numpy_names
from mxnet import autograd, nd
from scipy import special

ROOT = Path(__file__).parents[2]

# The library itself, and a script that builds a package.
NO_MODULES = "mxnet.libmxnet", "mxnet.onnx.setup"
MODULES = [
    module.name
    for module in pkgutil.walk_packages(mx.__path__, "mxnet.")
    if not module.name.startswith(NO_MODULES)
]


@pytest.mark.parametrize("package", sorted({name.split(".")[1] for name in MODULES}))
def test_each_module_of_mxnet_can_be_imported(package):
    names = [name for name in MODULES if name.split(".")[1] == package]
    for name in names:
        assert importlib.import_module(name)


def test_the_list_of_modules_is_that_of_mxnet():
    wanted = "gluon gluon.model_zoo contrib image io kvstore numpy numpy_extension"
    wanted += " profiler recordio symbol ndarray gluon.contrib.estimator"
    assert {f"mxnet.{name}" for name in wanted.split()} <= set(MODULES)
    assert len(MODULES) > 150


def uses(module):
    """The names that a module of MXNet takes from NumPy, by its source."""
    with open(importlib.util.find_spec(module).origin, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    aliases = {a.asname for n in imports for a in n.names if a.name == "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in aliases:
                yield node.attr
        # Lists of names that are taken by getattr.
        elif isinstance(node, ast.Constant) and module in BY_GETATTR:
            yield node.value


BY_GETATTR = ("mxnet.numpy_dispatch_protocol",)


def test_each_name_has_the_modules_that_use_it():
    found = {name: set() for name in numpy_names.NAMES}
    for module in MODULES:
        for name in uses(module):
            if name in found:
                found[name].add(module)
    assert found == {n: set(users) for n, (_, users) in numpy_names.NAMES.items()}


# --- Operators, forward and backward --------------------------------------------------


def softmax(x):
    return special.softmax(x, axis=-1)


def normalized(x, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-5)


def layer_norm(x, gamma, beta):
    return normalized(x, x.mean(-1, keepdims=True), x.var(-1, keepdims=True)) * (
        gamma
    ) + (beta)


def convolution(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]


def pooled(x, reduce):
    n, c, h, w = x.shape
    return reduce(x.reshape(n, c, h // 2, 2, w // 2, 2), axis=(3, 5))


ANY, POSITIVE, UNIT, ABOVE_ONE = (-2, 2), (0.5, 2), (-0.8, 0.8), (1.2, 2)
SQUARE = (3, 4)

# MXNet's operator, the same in NumPy, the range of the inputs, and their shapes.
OPERATORS = {
    "abs": (nd.abs, np.abs, ANY),
    "arccos": (nd.arccos, np.arccos, UNIT),
    "arccosh": (nd.arccosh, np.arccosh, ABOVE_ONE),
    "arcsin": (nd.arcsin, np.arcsin, UNIT),
    "arcsinh": (nd.arcsinh, np.arcsinh, ANY),
    "arctan": (nd.arctan, np.arctan, ANY),
    "arctanh": (nd.arctanh, np.arctanh, UNIT),
    "cbrt": (nd.cbrt, np.cbrt, POSITIVE),
    "cos": (nd.cos, np.cos, ANY),
    "cosh": (nd.cosh, np.cosh, ANY),
    "degrees": (nd.degrees, np.degrees, ANY),
    "erf": (nd.erf, special.erf, ANY),
    "exp": (nd.exp, np.exp, ANY),
    "expm1": (nd.expm1, np.expm1, ANY),
    "gammaln": (nd.gammaln, special.gammaln, POSITIVE),
    "log": (nd.log, np.log, POSITIVE),
    "log10": (nd.log10, np.log10, POSITIVE),
    "log1p": (nd.log1p, np.log1p, POSITIVE),
    "log2": (nd.log2, np.log2, POSITIVE),
    "log_softmax": (nd.log_softmax, lambda x: np.log(softmax(x)), ANY),
    "negative": (nd.negative, np.negative, ANY),
    "radians": (nd.radians, np.radians, ANY),
    "reciprocal": (nd.reciprocal, np.reciprocal, POSITIVE),
    "relu": (nd.relu, lambda x: np.maximum(x, 0), ANY),
    "rsqrt": (nd.rsqrt, lambda x: 1 / np.sqrt(x), POSITIVE),
    "sigmoid": (nd.sigmoid, special.expit, ANY),
    "sin": (nd.sin, np.sin, ANY),
    "sinh": (nd.sinh, np.sinh, ANY),
    "softmax": (nd.softmax, softmax, ANY),
    "softsign": (nd.softsign, lambda x: x / (1 + np.abs(x)), ANY),
    "sqrt": (nd.sqrt, np.sqrt, POSITIVE),
    "square": (nd.square, np.square, ANY),
    "tan": (nd.tan, np.tan, UNIT),
    "tanh": (nd.tanh, np.tanh, ANY),
    "max": (nd.max, np.max, ANY),
    "mean": (lambda x: nd.mean(x, axis=1), lambda x: x.mean(1), ANY),
    "min": (nd.min, np.min, ANY),
    "norm": (nd.norm, np.linalg.norm, ANY),
    "prod": (lambda x: nd.prod(x, axis=0), lambda x: x.prod(0), POSITIVE),
    "sum": (lambda x: nd.sum(x, axis=0), lambda x: x.sum(0), ANY),
    "clip": (lambda x: nd.clip(x, -1, 1), lambda x: x.clip(-1, 1), ANY),
    "flip": (lambda x: nd.flip(x, axis=1), lambda x: np.flip(x, 1), ANY),
    "repeat": (lambda x: nd.repeat(x, 2, 1), lambda x: x.repeat(2, 1), ANY),
    "reshape": (lambda x: x.reshape((2, -1)), lambda x: x.reshape(2, -1), ANY),
    "slice": (lambda x: x[1:, ::2], lambda x: x[1:, ::2], ANY),
    "tile": (lambda x: nd.tile(x, (2, 1)), lambda x: np.tile(x, (2, 1)), ANY),
    "transpose": (lambda x: x.T, lambda x: x.T, ANY),
    "pad": (
        lambda x: nd.pad(x, "edge", (0, 0, 0, 0, 1, 1, 1, 1)),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], "edge"),
        ANY,
        (2, 3, 4, 4),
    ),
    "add": (nd.broadcast_add, np.add, ANY, SQUARE, (1, 4)),
    "divide": (nd.broadcast_div, np.divide, POSITIVE, SQUARE, (3, 1)),
    "hypot": (nd.broadcast_hypot, np.hypot, POSITIVE, SQUARE, SQUARE),
    "maximum": (nd.broadcast_maximum, np.maximum, ANY, SQUARE, SQUARE),
    "multiply": (nd.broadcast_mul, np.multiply, ANY, SQUARE, (1, 4)),
    "power": (nd.broadcast_power, np.power, POSITIVE, SQUARE, SQUARE),
    "subtract": (nd.broadcast_sub, np.subtract, ANY, SQUARE, (3, 1)),
    "batch_dot": (nd.batch_dot, np.matmul, ANY, (2, 3, 4), (2, 4, 5)),
    "concat": (nd.concat, lambda *x: np.concatenate(x, 1), ANY, SQUARE, (3, 2)),
    "dot": (nd.dot, np.dot, ANY, SQUARE, (4, 2)),
    "stack": (nd.stack, lambda *x: np.stack(x), ANY, SQUARE, SQUARE),
    "where": (
        lambda x, y: nd.where(nd.arange(12, dtype="float64").reshape(3, 4) > 5, x, y),
        lambda x, y: np.where(np.arange(12).reshape(3, 4) > 5, x, y),
        ANY,
        SQUARE,
        SQUARE,
    ),
    "FullyConnected": (
        lambda x, w, b: nd.FullyConnected(x, w, b, num_hidden=5),
        lambda x, w, b: x @ w.T + b,
        ANY,
        SQUARE,
        (5, 4),
        (5,),
    ),
    "Convolution": (
        lambda x, w, b: nd.Convolution(x, w, b, kernel=(2, 2), num_filter=2),
        convolution,
        ANY,
        (2, 3, 4, 4),
        (2, 3, 2, 2),
        (2,),
    ),
    "Pooling, the largest": (
        lambda x: nd.Pooling(x, (2, 2), "max", stride=(2, 2)),
        lambda x: pooled(x, np.max),
        ANY,
        (2, 3, 4, 4),
    ),
    "Pooling, the mean": (
        lambda x: nd.Pooling(x, (2, 2), "avg", stride=(2, 2)),
        lambda x: pooled(x, np.mean),
        ANY,
        (2, 3, 4, 4),
    ),
    "LayerNorm": (nd.LayerNorm, layer_norm, ANY, SQUARE, (4,), (4,)),
    "smooth_l1": (
        lambda x: nd.smooth_l1(x, scalar=1.0),
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        ANY,
    ),
}


def slopes(function, inputs, weights, step=1e-6):
    """The gradient of sum(weights · function) by central differences."""
    found = []
    for i, x in enumerate(inputs):
        gradient = np.empty_like(x)
        for place in np.ndindex(x.shape):
            sums = []
            for sign in 1, -1:
                moved = [each.copy() for each in inputs]
                moved[i][place] += sign * step
                sums.append(np.sum(weights * function(*moved)))
            gradient[place] = (sums[0] - sums[1]) / (2 * step)
        found.append(gradient)
    return found


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_and_its_gradient_agree_with_numpy(name):
    operator, function, (low, high), *shapes = OPERATORS[name]
    generator = np.random.default_rng(3)
    inputs = [generator.uniform(low, high, shape) for shape in shapes or [SQUARE]]
    expected = function(*inputs)
    weights = generator.uniform(0.5, 1, np.shape(expected) or (1,))
    arrays = [nd.array(x, dtype="float64") for x in inputs]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        result = operator(*arrays)
        loss = (result * nd.array(weights, dtype="float64")).sum()
    loss.backward()
    np.testing.assert_allclose(result.asnumpy().reshape(np.shape(expected)), expected)
    for array, gradient in zip(arrays, slopes(function, inputs, weights), strict=True):
        np.testing.assert_allclose(array.grad.asnumpy(), gradient, rtol=1e-4, atol=1e-6)


def test_there_are_sixty_operators():
    assert len(OPERATORS) >= 60


GRID = [[3.0, 1.0, 2.5], [0.5, 4.0, 1.5]]
ROW = [0.0, 1.0, 2.0]

# Of mx.np, the same in today's NumPy, and what both are given.
FALLBACKS = {
    "alltrue": (np.all, GRID),
    "corrcoef": (np.corrcoef, GRID),
    "in1d": (np.isin, ROW, [1.0, 2.0, 4.0]),
    "interp": (np.interp, [0.5, 1.5], ROW, [0.0, 2.0, 8.0]),
    "msort": (lambda x: np.sort(x, axis=0), GRID),
    "nanmedian": (np.nanmedian, GRID),
    "product": (np.prod, GRID),
    "ptp": (np.ptp, GRID),
    "round_": (np.round, GRID),
    "searchsorted": (np.searchsorted, ROW, [0.5, 1.5]),
    "sometrue": (np.any, GRID),
    "trapz": (getattr(np, "trapezoid", None) or np.trapz, GRID),
    "vander": (np.vander, ROW),
}


@mx.util.use_np
@pytest.mark.parametrize("name", FALLBACKS)
def test_functions_that_numpy_renamed_compute(name):
    function, *given = FALLBACKS[name]
    result = getattr(mx.np, name)(*map(mx.np.array, given))
    result = result.asnumpy() if isinstance(result, mx.np.ndarray) else result
    expected = function(*map(np.array, given))
    np.testing.assert_allclose(np.ravel(result), np.ravel(expected), rtol=1e-5)


def test_numpys_own_functions_take_mxnets_arrays():
    """By NumPy's protocols, which MXNet serves by the functions that it was lent."""
    array = mx.np.array([[1.0, -2.0], [3.0, 4.0]])
    for function in np.sum, np.prod, np.any, np.round, np.transpose, np.exp:
        assert type(function(array)).__module__.startswith("mxnet"), function


def test_what_mxnet_needs_when_it_runs_is_there():
    padded = mx.np.pad(mx.np.ones((1, 2)), ((0, 0), (1, 1)))  # numpy.compat
    assert padded.shape == (1, 4)
    assert mx.gluon.contrib.estimator.LoggingHandler().priority == np.inf  # numpy.Inf
    buckets, probabilities = mx.test_utils.gen_buckets_probs_with_ppf(lambda x: x, 5)
    chi_square = mx.test_utils.chi_square_check  # numpy.int
    assert chi_square(np.random.rand, buckets, probabilities, nsamples=1000)


def test_numpys_numbers_are_parameters_of_operators():
    """NumPy 2 writes np.int64(2) in a tuple, where MXNet reads text."""
    two, three = np.int64(2), np.int32(3)
    x = nd.zeros(5)
    x[two] = 1
    assert x.asnumpy().tolist() == [0, 0, 1, 0, 0]
    assert nd.zeros((two, three)).shape == (2, 3)
    assert nd.ones((2, 3)).sum(axis=(np.int64(1),)).shape == (2,)
    assert nd.ones((2, 3)).reshape((three, two)).shape == (3, 2)
    assert nd.tile(nd.ones((2, 3)), (two, 1)).shape == (4, 3)
    assert mx.np.random.normal(0, 1, (two, three)).shape == (2, 3)
    net = mx.sym.Convolution(mx.sym.var("data"), kernel=(three, 3), num_filter=two)
    assert net.infer_shape(data=(1, 1, 5, 5))[1] == [(1, 2, 3, 3)]
    layer = mx.gluon.nn.Dense(three, in_units=two)
    layer.initialize(mx.init.Orthogonal())
    rate = {"learning_rate": np.float64(0.1), "wd": np.float32(0.01)}
    trainer = mx.gluon.Trainer(layer.collect_params(), "sgd", rate)
    with autograd.record():
        loss = layer(nd.ones((4, 2))).sum()
    loss.backward()
    trainer.step(4)


def test_a_record_with_several_labels():
    header = mx.recordio.IRHeader(0, [1.0, 2.5], 7, 0)
    found, text = mx.recordio.unpack(mx.recordio.pack(header, b"pixels"))
    assert (found.label.tolist(), found.id, text) == ([1.0, 2.5], 7, b"pixels")


@mx.util.use_np
def test_financial_functions_say_where_they_went():
    if "npv" not in numpy_names.missing():
        pytest.skip("this NumPy has them")
    with pytest.raises(NotImplementedError, match="NumPy has no npv since 1.20"):
        mx.np.npv(0.1, [1.0, 2.0])


# --- A program's own NumPy ------------------------------------------------------------

HARM = """
import sys, pickle
import numpy as np
before = dict(vars(np))
array = pickle.dumps(np.arange(3.0))
kind = np.bool
import utils, mxnet
assert sys.modules["numpy"] is np
lent = set(utils.numpy_names.missing())
assert lent and not lent & set(vars(np)), lent & set(vars(np))
# Submodules that others import now, scipy's for example, are NumPy's own.
new = {n for n in set(vars(np)) - set(before) if f"numpy.{n}" not in sys.modules}
assert not new, new
assert all(vars(np)[n] is value for n, value in before.items())
assert np.bool is kind is np.bool_ and not hasattr(np, "int")
assert pickle.dumps(np.arange(3.0)) == array
assert np.isin is mxnet.numpy_dispatch_protocol._np.isin
print("unharmed")
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(np.__version__ < "2", reason="NumPy 2's bool")
def test_a_programs_own_numpy_stays_as_it_is():
    done = python(HARM)
    assert (done.returncode, done.stdout) == (0, "unharmed\n"), done.stderr


def test_pickles_of_mxnets_arrays_come_back():
    array = mx.np.array([[1.0, 2.0]])
    assert (pickle.loads(pickle.dumps(array)).asnumpy() == [[1, 2]]).all()
    assert b"numpy_names" not in pickle.dumps(array)


def test_an_import_that_failed_before_does_no_harm():
    """A cell began with `import mxnet`, and the next one begins with utils."""
    done = python(
        "try:\n    import mxnet\nexcept AttributeError as error:\n    print(error)\n"
        "import utils, mxnet\nprint(mxnet.nd.ones(3).sum().asscalar())"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("3.0\n")


def test_what_the_import_left_out_is_there_when_it_is_used():
    done = python(
        "import sys, utils\n"
        "print('scipy.stats' in sys.modules, 'sklearn' in sys.modules)\n"
        "from mxnet.contrib import quantization\n"
        "print(quantization.stats.entropy([1, 1], [1, 1]))\n"
        "import scipy.stats, sklearn\n"
        "print(scipy.stats.norm.cdf(0))\n"
    )
    assert (done.returncode, done.stdout) == (0, "False False\n0.0\n0.5\n"), done.stderr


# --- What can be wrong with an installation -------------------------------------------


def import_utils(*patches):
    """The last line on stderr, where `patches` come before `import utils`."""
    code = "import importlib.metadata, importlib.util, sys\nimport numpy\n"
    done = python(code + "\n".join(patches) + "\nimport utils\nprint('imported')")
    return done.stdout + (done.stderr.splitlines() or [""])[-1]


def numpy_on_disk(version):
    return (
        "true = importlib.metadata.version\n"
        "importlib.metadata.version = "
        f"lambda name: {version!r} if name == 'numpy' else true(name)"
    )


def hidden(module):
    return (
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = "
        f"lambda name, *a: None if name == {module!r} else find(name, *a)"
    )


def test_both_builds_are_told_apart(tmp_path):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet/__init__.py").touch()
    for build in "mxnet", "mxnet-cu112":
        folder = tmp_path / f"{build.replace('-', '_')}-1.9.1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {build}\nVersion: 1.9.1\n")
    said = import_utils(f"sys.path.insert(0, {str(tmp_path)!r})")
    assert said == (
        "ImportError: Both builds of MXNet are installed, mxnet==1.9.1 and "
        "mxnet-cu112==1.9.1, and each has overwritten a part of the other. Run "
        f"`{sys.executable} -m pip uninstall --yes mxnet mxnet-cu112`, and then "
        f"`{sys.executable} -m pip install --no-deps` with one of the two."
    )


def test_no_mxnet_asks_which_build():
    said = import_utils(hidden("mxnet"))
    assert said == (
        "ImportError: No MXNet is installed here. `make env` installs the build that "
        "fits this machine, and so does `python -m batch_norm_course` where pip "
        "installed the course. The extras batch-norm-course[cpu] and [gpu] name a "
        "build, and bring the older NumPy that it asks for."
    )


def test_links_that_an_uninstallation_left_are_no_mxnet(tmp_path):
    """pip removes what it installed, and not the links to the CUDA libraries."""
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet/libcudnn.so.8").symlink_to("gone")
    nowhere = "sys.path = [p for p in sys.path if not p.endswith('site-packages')]"
    code = f"import sys\nimport numpy\n{nowhere}\nimport importlib.util\n"
    code += f"sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\nimport utils"
    done = python(code)
    assert "ImportError: No MXNet is installed here." in done.stderr


def test_what_mxnet_imports_and_is_missing_is_named(tmp_path):
    (tmp_path / "requests.py").write_text(
        "raise ModuleNotFoundError('No module', name='requests')"
    )
    said = import_utils(f"sys.path.insert(0, {str(tmp_path)!r})")
    assert said == (
        "ImportError: MXNet imports requests, which is not installed. Run "
        f"`{sys.executable} -m pip install requests`."
    )


def test_no_distutils_names_setuptools():
    said = import_utils(hidden("distutils"))
    assert said == (
        "ImportError: MXNet imports distutils, which Python has dropped in 3.12 and "
        f"setuptools brings. Run `{sys.executable} -m pip install setuptools`."
    )


def test_a_newer_numpy_is_warned_of_once():
    code = "import warnings\nimport numpy\nnumpy.__version__ = '3.1.0'\n"
    code += "import importlib.metadata\n" + numpy_on_disk("3.1.0")
    code += "\nimport utils, utils.metrics\nprint('imported')"
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "imported\n")
    assert done.stderr.count("NumPy 3.1.0 is newer than") == 1
    assert (
        "NumPy 3.1.0 is newer than 2.5, the newest that MXNet was tried with; if "
        f"something fails, `{sys.executable} -m pip install 'numpy<2.6'` may help."
    ) in done.stderr


def test_a_numpy_replaced_under_a_running_kernel_asks_for_a_restart():
    said = import_utils(numpy_on_disk("2.99.0"))
    assert said == (
        f"ImportError: This process has imported NumPy {np.__version__}, but 2.99.0 is "
        "installed now. Restart the kernel, or the program, and run it from its "
        "beginning."
    )


def test_half_an_installation_says_how_to_repair_it(tmp_path):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet/__init__.py").write_text("from . import base\n")
    done = python("import utils", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: MXNet could not be imported beside NumPy")
    assert said.endswith(
        "If its installation was cut short, "
        f"`{sys.executable} -m pip install --force-reinstall --no-deps mxnet==1.9.1` "
        "repairs it."
    )
