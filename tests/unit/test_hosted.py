"""What the line for hosted notebooks asks of pip, and what it says of a wrong word."""

import subprocess
import sys

from tools import hosted


class Course:
    """As pip has it after an installation."""

    requires = (
        "numpy>=1.26",
        "mxnet==1.9.1; extra == 'cpu'",
        'mxnet-cu112==1.9.1; extra == "gpu"',
        "nvidia-nccl-cu11==2.21.5 ; extra == 'gpu'",
    )


def test_requirements_of_an_extra():
    assert hosted.requirements(Course, None) == ["numpy>=1.26"]
    assert hosted.requirements(Course, "cpu") == ["mxnet==1.9.1"]
    gpu = ["mxnet-cu112==1.9.1", "nvidia-nccl-cu11==2.21.5"]
    assert hosted.requirements(Course, "gpu") == gpu


def test_another_word_than_the_two_builds():
    run = [sys.executable, "-m", "tools.hosted", "cuda"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Expected cpu, gpu, or nothing, but got 'cuda'.\n"
