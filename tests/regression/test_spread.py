"""What is made of runs that differ in rounding, or in the seed; no notebook runs."""

import copy
import json
import math
import statistics
from pathlib import Path

import nbformat
import pytest

from regression import limits, run, spread
from regression.project import Project

CODE = "0123456789abcdef"
OUTCOME = {"late loss": 1.0, "test loss": 0.8, "test error": 0.2}


def stdout(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def note(losses=(2.0, 1.5), **outcome):
    """The notes on a training without a network."""
    return {"losses": list(losses), **OUTCOME, **outcome}


def cells(text="loss 0.50\n", code=CODE, trainings=(), **results):
    """What is kept of a run of a notebook with the one cell "train"."""
    kept = {"code": code, "trainings": list(trainings), "results": results}
    return {"train": {**kept, "outputs": [stdout(text)]}}


def named(runs):
    """The first run is the one as it is."""
    return {"as it is" if not n else f"rounding {n}": one for n, one in enumerate(runs)}


class TestSummary:
    def test_numbers_vary_relative_to_their_scale(self):
        found = spread.summary(
            named([cells(f"loss 0.{n}0, in step 3\n") for n in (4, 5, 6)])
        )
        # An accuracy of 0.4 varies as the 0.6 do that are missing to 1.
        scale = statistics.mean([0.6, 0.5, 0.6])
        assert found["train"] == {
            "code": CODE,
            "runs": 3,
            "alike": 3,
            "printed": pytest.approx(0.1 / scale, abs=0.01),
            "trainings": [],
        }
        assert found["train"]["printed"] >= 0.1 / scale

    def test_the_number_that_varies_most_counts(self):
        runs = named([cells(f"loss 2.0{n}\nacc 7.{n}\n") for n in (1, 2, 3)])
        assert spread.summary(runs)["train"]["printed"] == pytest.approx(0.014)

    def test_what_does_not_vary_is_zero(self):
        runs = named([cells("loss 0.5\n")] * 3)
        assert spread.summary(runs)["train"]["printed"] == 0.0
        assert spread.summary(named([cells("")] * 3))["train"]["printed"] == 0.0

    def test_runs_of_other_code_do_not_count(self):
        other = cells("loss 9.99\n", code="of another time")
        runs = named([cells("loss 0.50\n"), other, cells("loss 0.50\n")])
        found = spread.summary(runs)["train"]
        assert (found["runs"], found["printed"]) == (2, 0.0)

    def test_runs_that_print_other_words_are_told(self, capsys):
        texts = ["loss 0.5: ahead\n", "loss 0.5: ahead\n", "loss 9.5: behind\n"]
        found = spread.summary(named([cells(text) for text in texts]))
        assert (found["train"]["printed"], found["train"]["alike"]) == (0.0, 2)
        said = capsys.readouterr().out
        assert said == "cell train: 1 of 3 runs print other words\n"

    def test_each_training_of_a_cell_has_its_own(self):
        runs = named(
            [cells(trainings=[note(), note([3.0, late])]) for late in (2.4, 2.5, 2.6)]
        )
        first, second = spread.summary(runs)["train"]["trainings"]
        assert first["beginning"] == {}
        assert second["beginning"] == {"step 2, loss": pytest.approx(0.04, rel=0.05)}


class TestMeasuredTraining:
    def test_has_the_facts_that_vary_more_than_their_floor(self):
        notes = [note([2.0, 1.5 + n * 1e-3, 1.2 + n * 1e-10]) for n in (-1, 0, 1)]
        found = spread.measured_training(notes)["beginning"]
        # 3 runs of a deviation of 1e-10 leave a limit below that of float32.
        assert limits.limit(1e-10 / 1.2, 2) < limits.FLOAT32
        assert found == {"step 2, loss": pytest.approx(1e-3 / 1.5, abs=1e-5)}
        assert found["step 2, loss"] >= 1e-3 / 1.5

    @pytest.mark.parametrize("last", [2e3, 1e20, float("inf"), float("nan")])
    def test_ends_where_a_training_diverges(self, last):
        notes = [note([2.0, 1.5 + n * 1e-3, last, 1e25 + n * 1e24]) for n in (-1, 0, 1)]
        assert list(spread.measured_training(notes)["beginning"]) == ["step 2, loss"]

    def test_has_all_outcomes_with_six_digits(self):
        notes = [note(**{"late loss": 1 + n / 3}) for n in (0, 1, 2)]
        assert spread.measured_training(notes)["outcome"] == {
            "late loss": [1.0, 1.33333, 1.66667],
            "test loss": [0.8] * 3,
            "test error": [0.2] * 3,
        }

    @pytest.mark.parametrize("value", [None, 0.0, float("nan"), float("inf")])
    def test_leaves_out_an_outcome_without_a_logarithm(self, value):
        notes = [note(), note(**{"test error": value}), note()]
        found = spread.measured_training(notes)["outcome"]
        assert set(found) == {"late loss", "test loss"}


@pytest.mark.parametrize(
    "deviation, rounded",
    [(0.0, 0.0), (0.01234, 0.013), (0.0999, 0.1), (1.5e-7, 1.5e-7), (2.01, 2.1)],
)
def test_deviations_are_rounded_up_to_two_digits(deviation, rounded):
    assert spread.round_up(deviation) == pytest.approx(rounded, rel=1e-9)


def test_runs_that_repeat_another_to_the_last_digit_do_not_count():
    runs = named(
        [
            cells("a", trainings=[note()]),
            cells("b", trainings=[note()]),
            cells("c", trainings=[note([2.0, 1.5000001])]),
            cells("d", trainings=[note(**{"late loss": 1.0000001})]),
            cells("e", trainings=[note([2.0, 1.5000001])]),
        ]
    )
    assert list(spread.distinct(runs)) == ["as it is", "rounding 2", "rounding 3"]


def test_results_are_of_the_seeds():
    glued = nbformat.v4.new_output(
        "display_data",
        {"application/papermill.record/text/plain": "0.91"},
        metadata={"scrapbook": {"name": "glued-acc"}},
    )
    text = copy.deepcopy(glued)
    text.metadata.scrapbook.name = "glued-word"
    text.data = {"application/papermill.record/text/plain": "'fast'"}
    runs = {}
    for name, acc in (("as it is", 0.8), ("rounding 1", 0.7), ("seed 1", 0.9)):
        runs[name] = cells(acc=acc)
        runs[name]["train"]["outputs"] += [glued, text]
    assert spread.results(runs) == {"acc": [0.8, 0.9], "glued-acc": [0.91, 0.91]}


def test_a_result_counts_once_a_run():
    # Glued in one cell, and compared with other seeds in another.
    runs = {}
    for name, acc in (("as it is", 0.8), ("seed 1", 0.9)):
        runs[name] = {"glue": cells(acc=acc)["train"], **cells(acc=acc)}
    assert spread.results(runs) == {"acc": [0.8, 0.9]}


PROJECT = Project(
    Path(),
    rounding="ROUNDING",
    seed="SEED",
    processors={
        "old": {"ISA": "SSE41"},
        "as it is": {},
        "alone": {"OMP_NUM_THREADS": "1"},
        "two": {"OMP_NUM_THREADS": "2"},
    },
)


def test_the_short_profile_varies_rounding_and_processors():
    found = spread.variations(PROJECT, "short")
    others = [name for name in found if not name.startswith("rounding")]
    assert others == ["as it is", "processor old", "processor two"]
    roundings = [found[name] for name in found if name.startswith("rounding")]
    assert roundings == [{"ROUNDING": str(n)} for n in range(1, spread.ROUNDINGS + 1)]


def test_the_full_profile_varies_the_seed():
    found = spread.variations(PROJECT, "full")
    seeds = {f"seed {n}": {"SEED": str(n)} for n in range(1, spread.SEEDS + 1)}
    assert found == {"as it is": {}} | seeds


def measured(printed, *trainings, code=CODE, runs=5, alike=None):
    """A cell as NAME.spread.json has it."""
    return {
        "code": code,
        "runs": runs,
        "alike": alike or runs,
        "printed": printed,
        "trainings": list(trainings),
    }


def began(beginning=None, **outcome):
    return {"beginning": beginning or {}, "outcome": outcome}


@pytest.fixture
def stored(tmp_path):
    """Writes NAME.spread.json: one cell's content by profile and name."""

    def write(name, short, full):
        path = tmp_path / f"{name}.ipynb"
        text = json.dumps({"short": short, "full": full, "runs": {}, "seeds": {}})
        spread.path_of(path).write_text(text)
        return path

    return write


class TestSpread:
    def test_numbers_of_a_cell_vary_as_its_own_did(self, stored):
        path = stored("a", {"c": measured(0.01), "d": measured(0.03)}, {})
        own = spread.read(path, "short").printed("c", CODE)
        assert own == limits.limit(**limits.pooled([(0.01, 5), (0.03, 5)], "short")[0])

    def test_numbers_of_a_cell_of_other_code_vary_as_the_most(self, stored):
        path = stored("a", {"c": measured(0.01), "d": measured(0.03)}, {})
        found = spread.read(path, "short")
        most = found.printed("d", CODE)
        assert most > found.printed("c", CODE)
        assert found.printed("c", "of now") == most
        assert found.printed("new", CODE) == most

    def test_numbers_of_runs_of_other_words_vary_as_the_most(self, stored):
        cells = {"c": measured(0.0, alike=1), "d": measured(0.03, alike=3)}
        found = spread.read(stored("a", cells, {}), "short")
        assert found.printed("d", CODE) == limits.limit(0.03, 2)
        assert found.printed("c", CODE) == found.printed("d", CODE)

    @pytest.mark.parametrize("count, freedom", [(15, 19), (16, 16 * 19)])
    def test_one_of_many_that_never_varied_may_jump_as_others_do(
        self, stored, count, freedom
    ):
        quiet = [began(**{"late loss": [2.0] * 20})] * (count - 1)
        jumped = began(**{"late loss": [2.0] * 19 + [2.1]})
        path = stored("a", {"c": measured(0.0, *quiet, jumped, runs=20)}, {})
        found = spread.read(path, "short").trainings("c", CODE, count)
        judge = found[0]["outcome"]["late loss"]
        jump = spread.log_deviation([2.0] * 19 + [2.1])
        many = count >= limits.MANY
        assert judge["deviation"] == pytest.approx(jump / 4 if many else 0)
        assert judge["freedom"] == freedom

    def test_the_notebooks_of_a_folder_are_pooled(self, stored):
        path = stored("a", {"c": measured(0.01)}, {})
        alone = spread.read(path, "short").printed("c", CODE)
        stored("b", {"c": measured(0.02), "e": measured(0.04)}, {})
        beside = spread.read(path, "short").printed("c", CODE)
        triple = [(0.01, 5), (0.02, 5), (0.04, 5)]
        assert alone == limits.limit(0.01, 4)
        assert beside == limits.limit(**limits.pooled(triple, "short")[0])
        # What varies most is of this notebook only.
        assert spread.read(path, "short").printed("new", CODE) == beside

    def test_each_profile_has_its_own(self, stored):
        path = stored("a", {"c": measured(0.01)}, {"c": measured(0.02)})
        assert spread.read(path, "short").printed("c", CODE) == limits.limit(0.01, 4)
        assert spread.read(path, "full").printed("c", CODE) == limits.limit(0.02, 4)

    def test_a_full_training_begins_as_a_short_one_and_leads_elsewhere(self, stored):
        beginning = {"step 2, loss": 0.01}
        led = {"late loss": [1.0, 1.1, 1.2, 1.1, 1.0]}
        short = measured(0.0, began(beginning, **{"late loss": [2.0] * 20}), runs=20)
        full = measured(0.0, began({"step 2, loss": 0.9}, **led))
        path = stored("a", {"c": short}, {"c": full})
        (found,) = spread.read(path, "full").trainings("c", CODE, 1)
        deviation = spread.log_deviation(led["late loss"])
        assert found == {
            "beginning": beginning,
            "runs": 20,
            "outcome": {
                "late loss": {"deviation": pytest.approx(deviation), "freedom": 4}
            },
        }

    def test_a_full_training_that_goes_on_begins_where_the_full_one_has_ended(
        self, stored
    ):
        short = measured(0.0, began({"initial parameter 1, length": 0.01}), runs=20)
        full = measured(0.0, began({"initial parameter 1, length": 0.2}))
        path = stored("a", {"c": short}, {"c": full})
        (found,) = spread.read(path, "full").trainings("c", CODE, 1)
        assert found["beginning"] == {"initial parameter 1, length": 0.2}
        assert found["runs"] == 5
        (found,) = spread.read(path, "short").trainings("c", CODE, 1)
        assert found["beginning"] == {"initial parameter 1, length": 0.01}

    def test_outcomes_vary_by_factors(self):
        assert spread.log_deviation([1.0, math.e, math.e**2]) == pytest.approx(1.0)

    def test_outcomes_of_a_kind_are_pooled(self, stored):
        first, second = [1.0, 1.1, 1.2], [1.0, 1.2, 1.4]
        trainings = [
            began(**{"late loss": first, "test error": second}),
            began(**{"late loss": second}),
        ]
        path = stored("a", {"c": measured(0.0, *trainings)}, {})
        found = spread.read(path, "short").trainings("c", CODE, 2)
        pairs = [(spread.log_deviation(v), 3) for v in (first, second)]
        both = limits.pooled(pairs, "short")
        alone = limits.pooled(pairs[1:], "short")
        assert [one["outcome"] for one in found] == [
            {"late loss": both[0], "test error": alone[0]},
            {"late loss": both[1]},
        ]

    def test_trainings_of_other_code_are_not_judged(self, stored):
        path = stored("a", {"c": measured(0.0, began())}, {})
        found = spread.read(path, "short")
        assert found.trainings("c", "of now", 1) is None
        assert found.trainings("c", CODE, 2) is None
        assert found.trainings("c", CODE, 1) is not None

    def test_what_was_never_measured_leaves_the_floors(self, tmp_path, stored):
        nothing = spread.read(tmp_path / "a.ipynb", "short")
        assert nothing.printed("c", CODE) == 0.0
        assert nothing.trainings("c", CODE, 2) == [{}, {}]
        path = stored("a", {"c": measured(0.0, began())}, {})
        assert spread.read(path, "short").trainings("new", CODE, 1) == [{}]


class TestMeasure:
    CELLS = {
        "plot": "axs = plt.subplots()",
        "constant": "lr = 0.1",
        "train": "fit(lr)",
        "shown": "loss",
    }

    @pytest.fixture
    def once(self, tmp_path, monkeypatch):
        """Measures one variation: the environments of the runs that it took."""
        path, taken = tmp_path / "chapter.ipynb", []

        def fake(notebook, path, environment, own):
            taken.append(environment)
            notes = {"train": {"trainings": [note()], "results": {}}}
            return run.Run(notebook, 1.0, {}, {}, notes)

        def measure(**edited):
            made = [
                nbformat.v4.new_code_cell(source, id=name)
                for name, source in (self.CELLS | edited).items()
            ]
            made[3].metadata.regression = {"trained": True}
            nbformat.write(nbformat.v4.new_notebook(cells=made), path)
            taken.clear()
            varied = {"ROUNDING": "1"}
            kept = spread.measure(path, "short", "rounding 1", varied, PROJECT)
            assert set(kept) == {"train", "shown"}
            return list(taken)

        monkeypatch.setattr(spread, "FOLDER", tmp_path / "kept")
        monkeypatch.setattr(run, "cells", fake)
        return measure

    def test_runs_as_notebooks_do_side_by_side_with_one_thing_varied(self, once):
        assert once() == [{"OMP_NUM_THREADS": "1", "ROUNDING": "1"}]

    def test_a_run_is_kept_until_code_that_leads_to_a_training_changes(self, once):
        assert len(once()) == 1
        assert once() == []
        assert once(plot="axs = plt.subplots(1, 2)", shown="print(loss)") == []
        assert len(once(constant="lr = 0.2")) == 1
