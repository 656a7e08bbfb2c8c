"""Shared code of the course: data, devices, metrics, training, plotting."""

from utils import cuda, memory, numpy_names, threads, variation

numpy_names.check_installed()
cuda.prepare_import()  # before anything here imports mxnet
with threads.chosen():
    numpy_names.import_mxnet()
memory.keep_freed_memory()
if variation.seed():
    variation.shift_seeds()

from utils import check
from utils.cluster.launch import ClusterError, alone, launch
from utils.data import load_data_fashion_mnist, load_mnist
from utils.device import try_all_gpus, try_gpu
from utils.gap.explain import explain_gap
from utils.metrics import accuracy, evaluate_accuracy
from utils.notebooks import definitions
from utils.plotting import plot_curves, set_up_figures
from utils.seeds import expected, verdict
from utils.training import SGD, epochs, train_ch5

set_up_figures()
