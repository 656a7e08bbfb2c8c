"""What is left out of outputs before they are stored or compared."""

import nbformat
import pytest

from regression import tidy

BENIGN = [r"Short: .* steps\.", r"Stand-in: .*"]


@pytest.mark.parametrize(
    "line",
    [
        "  0%|          | 0/10 [00:00<?, ?epoch/s]",
        "train: 100%|████| 9.91M/9.91M [00:00<00:00, 5.2MB/s]",
        "3epoch [00:01,  2.70epoch/s]",
        "Short: 8 of 10 steps.",
        "\x1b[A",
    ],
)
def test_progress_and_what_the_project_names_are_left_out(line):
    assert tidy.without_progress(f"{line}\r{line}\n", BENIGN) == ""
    warning = "UserWarning: 50% of the weights are zero"
    assert tidy.without_progress(f"{line}\n{warning}\n", BENIGN) == f"{warning}\n"


@pytest.mark.parametrize("line", ["Short: 8 of 10 steps. Stop", "A Stand-in: digits"])
def test_what_the_project_names_is_a_whole_line(line):
    assert tidy.without_progress(f"{line}\n", BENIGN) == f"{line}\n"
    # Without a project's word a line stays.
    assert tidy.without_progress("Stand-in: digits\n", []) == "Stand-in: digits\n"


def test_stderr_with_nothing_left_is_no_output():
    bar = nbformat.v4.new_output("stream", name="stderr", text="3epoch [00:01, 2/s]\n")
    log = nbformat.v4.new_output("stream", name="stdout", text="done\n")
    assert tidy.outputs([bar, log], []) == [log]


def test_a_figure_is_stored_without_indents_and_comments():
    svg = '<svg>\n <!-- 0.5 -->\n <path d="M 0 1 \nL 2\n" fill="none"/>\n</svg>\n'
    shown = nbformat.v4.new_output("display_data", {"image/svg+xml": svg})
    (stored,) = tidy.outputs([shown], [])
    expected = '<svg><path d="M 0 1 L 2 " fill="none"/></svg>'
    assert stored.data["image/svg+xml"] == expected
