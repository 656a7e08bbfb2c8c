"""Numbers and verdicts in the text: each has a record, and agrees with the outputs."""

import json
from pathlib import Path

import nbformat
import pytest

from regression import project, prose
from regression.expressions import NoValue

OUTPUT = "epoch 1, acc 0.9756\nepoch 2, acc 0.9914\n"
TEXT = (
    "After two epochs of 64 it is 0.9914,\nahead of the published 0.990. It was 0.9756."
)
RECORD = {
    "computed": {"0.9914": "train[2][2]", "0.9756": "train[1][2]"},
    "published": {"0.990": "lipton2017straight"},
    "constants": ["64"],
    "holds": {"ahead of the published": "train[2][2] > 0.990"},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def code(name, *outputs, **metadata):
    cell = nbformat.v4.new_code_cell(id=name, metadata=metadata)
    for output in outputs:
        if isinstance(output, str):
            output = {"output_type": "stream", "name": "stdout", "text": output}
        else:
            output = {"output_type": "display_data", **output}
        cell.outputs.append(nbformat.from_dict(output))
    return cell


def text(name, source, record=None, **metadata):
    metadata |= {} if record is None else {"prose": record}
    return nbformat.v4.new_markdown_cell(source, id=name, metadata=metadata)


def write(*cells, name="first-lesson"):
    path = Path(f"{name}.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    return path


def faults(**settings):
    book = prose.Book(project.Project(Path(), **settings))
    return book.faults + [
        fault for passage in book.passages() for fault in prose.faults(book, passage)
    ]


def refreshed(path, output, **settings):
    """What a refresh that prints this changes, and what it leaves to the author."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].outputs[0].text = output
    own = project.Project(Path(), **settings)
    others, changes = prose.refreshed(own, path, notebook)
    nbformat.write(notebook, path)
    for other, content in others.items():
        other.write_text(content, encoding="utf-8")
    return notebook, changes, prose.left(own, [path])


def test_a_text_that_agrees_has_no_faults():
    write(code("train", OUTPUT), text("after", TEXT, RECORD))
    assert faults() == []


def test_a_number_that_no_longer_holds_is_told_with_its_sentence():
    changed = OUTPUT.replace("0.9914", "0.9901")
    write(code("train", changed), text("after", TEXT, RECORD))
    assert faults() == [
        'first-lesson.ipynb, after: "After two epochs of 64 it is 0.9914, ahead of the '
        'published 0.990.": 0.9914 is now 0.9901 (train[2][2]).'
    ]


def test_a_verdict_that_no_longer_holds_is_told_with_what_it_compares():
    changed = OUTPUT.replace("0.9914", "0.9899")
    write(code("train", changed), text("after", TEXT, RECORD))
    _, verdict = faults()
    assert verdict.endswith(
        'published 0.990.": "ahead of the published" does not hold: '
        "train[2][2] > 0.990; train[2][2] = 0.9899."
    )


def test_each_number_needs_a_record_and_each_record_a_number():
    record = {"computed": {"7": "1 + 6"}, "constants": ["5 (2)", "6"]}
    write(text("one", "A 5, a 5, a 6. A 5.", record))
    assert faults() == [
        'first-lesson.ipynb, one: "A 5, a 5, a 6.": 5 has no record.',
        "first-lesson.ipynb, one: the record has '7', but the text has not.",
    ]
    write(text("one", "A 5.\n\n*On 2026-11-21.*", tags=["provenance"]))
    assert faults() == []


def test_one_literal_may_have_two_origins():
    record = {"computed": {"5": "train[1][1]", "5 (2)": "train[1][2]"}}
    write(code("train", "5 6"), text("one", "A 5, a 5.", record))
    (fault,) = faults()
    assert fault.endswith("5 is now 6 (train[1][2]).")


@pytest.mark.parametrize("kind", ["computed", "published"])
def test_one_origin_is_of_one_numeral(kind):
    """The second one may be another number, which refresh would overwrite."""
    record = {kind: {"5": "train[1][1]"}}
    path = write(code("train", "5"), text("one", "A 5, a 5.", record))
    told = (
        "first-lesson.ipynb, one: the record has '5' for one number, but the text has "
        'it 2 times; give each its own, "5 (2)" to the second.'
    )
    assert faults() == [told]
    notebook, changes, wrong = refreshed(path, "6")
    assert notebook.cells[1].source == "A 5, a 5." and changes == []
    assert wrong[0] == told
    record = {kind: {"5": "train[1][1]"}, "constants": ["5 (2)"]}
    write(code("train", "5"), text("one", "A 5, a 5, a 5.", record))
    assert faults() == [told]
    record["constants"].append("5 (3)")
    write(code("train", "5"), text("one", "A 5, a 5, a 5.", record))
    assert faults() == []
    write(text("one", "A 5, a 5.", {"constants": ["5"]}))
    assert faults() == []


@pytest.mark.parametrize(
    "record, why",
    [
        ({"computed": {"5": "trian[1]"}},
         "5 is trian[1], but first-lesson.ipynb has no cell trian; similar: train."),
        ({"computed": {"5": "train[2]"}},
         "5 is train[2], but train has no line 2, but 1."),
        ({"computed": {"5": "sum(train[1])"}},
         "a line alone stands for its first; write train[1][1:] for all of them."),
        ({"computed": {"5": "more.train[1]"}},
         "5 is more.train[1], but no notebooks are called more, among first_lesson."),
        ({"constants": ["5"], "holds": {"B": "1 < 2"}},
         "when 'B' holds, but that is not words of the text, without digits."),
        ({"constants": ["5"], "holds": {"A 5": "1 < 2"}},
         "but that is not words of the text, without digits."),
        ({"constants": ["5"], "holds": {"A": "1 + 2"}},
         '"A" holds if 1 + 2, but 1 + 2 is neither true nor false.'),
        ({"constant": ["5"]},
         "a table of computed, published, constants, holds, but it is "
         "{'constant': ['5']}."),
        ({"constants": [5]}, '"constants" has to be a list of texts, but it is [5].'),
        ({"constants": ["5"], "computed": {"5": "5"}}, "the record has 5 twice."),
    ],
)  # fmt: skip
def test_a_faulty_record_is_told(record, why):
    write(code("train", "5"), text("one", "A 5.", record))
    (fault,) = faults()
    assert fault.startswith("first-lesson.ipynb, one: ") and fault.endswith(why)


def test_captions_and_alt_texts_are_text():
    figure = {"figure": {"caption": "It ends at 0.99."}, "image": {"alt": "From 0.5."}}
    record = {"computed": {"0.99": "plot['line 1 y'][2]", "0.5": "plot[1][2]"}}
    plot = {"data": {"text/plain": "<Figure size 8x9>"}, "metadata": {}}
    plot["metadata"]["figure"] = ["line 1 y [0.5, 0.98]"]
    path = write(code("plot", plot, mystnb=figure, prose=record))
    (fault,) = faults()
    assert '"It ends at 0.99.": 0.99 is now 0.98' in fault
    notebook = nbformat.read(path, as_version=4)
    _, changes = prose.refreshed(project.Project(Path()), path, notebook)
    assert len(changes) == 1
    metadata = notebook.cells[0].metadata
    assert metadata.mystnb.figure.caption == "It ends at 0.98."
    assert metadata.prose["computed"] == {
        "0.98": "plot['line 1 y'][2]",
        "0.5": "plot[1][2]",
    }


def test_glued_values_and_results_are_outputs():
    glued = {
        "data": {prose.GLUED: "'5.26 s'"},
        "metadata": {"scrapbook": {"name": "epoch-1"}},
    }
    shown = {"data": {"text/plain": "\n[[7.  8.]]"}, "metadata": {}}
    record = {"computed": {"5.3": "out['epoch-1']", "8": "out[2][2]"}}
    write(code("out", glued, shown), text("one", "5.3 and 8", record))
    assert faults() == []


def test_a_refresh_writes_the_new_numbers_and_keeps_the_record_in_step():
    path = write(code("train", OUTPUT), text("after", TEXT, RECORD))
    new = "epoch 1, acc 0.9800\nepoch 2, acc 0.99235\n"
    notebook, changes, wrong = refreshed(path, new)
    after = notebook.cells[1]
    assert after.source == TEXT.replace("0.9914", "0.9924").replace("0.9756", "0.9800")
    assert after.metadata.prose == {
        **RECORD,
        "computed": {"0.9924": "train[2][2]", "0.9800": "train[1][2]"},
    }
    assert wrong == [] and faults() == []
    first, second = changes
    assert first == (
        "first-lesson.ipynb, after\n"
        "  before | After two epochs of 64 it is 0.9914, ahead of the published "
        "0.990.\n"
        "  after  | After two epochs of 64 it is 0.9924, ahead of the published 0.990."
    )
    assert second.endswith("before | It was 0.9756.\n  after  | It was 0.9800.")
    again, changes, wrong = refreshed(path, new)
    assert (again, changes, wrong) == (notebook, [], [])


def test_numbers_that_become_equal_and_part_again_keep_their_origins():
    record = {
        "computed": {"5": "t[1]", "6": "t[2]", "5 (2)": "t[1]"},
        "constants": ["7"],
    }
    words = "A 5, a 6, a 5, a 7, a 7."
    path = write(code("t", "5\n6"), text("one", words, record))
    notebook, _, wrong = refreshed(path, "7\n7")
    assert notebook.cells[1].source == "A 7, a 7, a 7, a 7, a 7."
    assert wrong == faults() == []
    assert notebook.cells[1].metadata.prose == {
        "computed": {"7": "t[1]", "7 (2)": "t[2]", "7 (3)": "t[1]"},
        "constants": ["7 (4)", "7 (5)"],
    }
    notebook, _, _ = refreshed(path, "10\n6")
    assert notebook.cells[1].source == "A 10, a 6, a 10, a 7, a 7." and faults() == []
    assert notebook.cells[1].metadata.prose == {
        "computed": {"10": "t[1]", "6": "t[2]", "10 (2)": "t[1]"},
        "constants": ["7"],
    }


def test_a_refresh_tells_what_an_author_has_to_correct():
    path = write(code("train", OUTPUT), text("after", TEXT, RECORD))
    _, changes, wrong = refreshed(path, OUTPUT.replace("0.9914", "0.9890"))
    assert len(changes) == 1
    (fault,) = wrong
    assert "it is 0.9890" in fault and '"ahead of the published" does not hold' in fault
    _, changes, wrong = refreshed(path, "epoch 1, acc 0.9756\n")
    assert changes == [] and len(wrong) == 2 and "train has no line 2" in wrong[0]


@pytest.mark.parametrize(
    "words, literal, new, told",
    [
        ("It is 0.003.", "0.003", "0.0003",
         "0.003 is now 0.0003, for which it has too few digits (t[1])."),
        ("It is the 2nd.", "2", "3", "2 is now 3 (t[1])."),
    ],
)  # fmt: skip
def test_what_only_an_author_can_write_anew_stays(words, literal, new, told):
    record = {"computed": {literal: "t[1]"}}
    path = write(code("t", literal), text("one", words, record))
    assert faults() == []
    notebook, changes, (fault,) = refreshed(path, new)
    assert notebook.cells[1].source == words and changes == []
    assert fault.endswith(told)


def test_a_refresh_tells_of_files_in_which_it_could_write_nothing():
    path = write(code("train", OUTPUT), text("after", TEXT, RECORD))
    Path("prose.json").write_text(json.dumps({"gone.md": {}}))
    _, _, (fault,) = refreshed(path, OUTPUT, prose="prose.json")
    assert fault.startswith("gone.md can't be read: ")


def test_what_several_notebooks_leave_to_the_author_is_told_once_as_it_is_now():
    first = write(code("a", "5"), name="first")
    record = {
        "computed": {"5": "first.a[1]", "7": "b[1]"},
        "holds": {"fewer": "first.a[1] < b[1]"},
    }
    second = write(code("b", "7"), text("one", "5, fewer than 7.", record), name="last")
    own = project.Project(Path())
    for path, output in (first, "9"), (second, "8"):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].outputs[0].text = output
        others, _ = prose.refreshed(own, path, notebook)
        nbformat.write(notebook, path)
        for other, content in others.items():
            other.write_text(content, encoding="utf-8")
    (fault,) = prose.left(own, [first, second])
    assert fault.endswith(
        '"9, fewer than 8.": "fewer" does not hold: first.a[1] < b[1]; '
        "first.a[1] = 9, b[1] = 8."
    )


def test_other_notebooks_and_pages_that_quote_it_are_renewed():
    path = write(code("train", OUTPUT))
    quote = {"computed": {"0.9914": "lesson.train[2][2]"}}
    other = write(text("one", "It is 0.9914.", quote), name="summary")
    stale = {"computed": {"5": "1 + 1"}}  # quotes nothing of it, so it is left alone
    third = write(text("one", "It is 5.", stale), name="third")
    Path("page.md").write_text("We saw 0.9914, and 3.\n", encoding="utf-8")
    records = {"page.md": {**quote, "constants": ["3"]}}
    Path("prose.json").write_text(json.dumps(records), encoding="utf-8")
    new = OUTPUT.replace("0.9914", "0.9930")
    _, changes, wrong = refreshed(path, new, prose="prose.json")
    assert len(changes) == 2 and wrong == []
    assert "It is 0.9930." in other.read_text() and "It is 5." in third.read_text()
    assert Path("page.md").read_text() == "We saw 0.9930, and 3.\n"
    renewed = json.loads(Path("prose.json").read_text())
    assert list(renewed["page.md"]["computed"]) == ["0.9930"]
    (fault,) = faults(prose="prose.json")
    assert fault.startswith("third.ipynb, one: ")


def test_the_name_of_a_notebook_has_to_be_clear():
    write(name="batch-norm-gluon")
    book = prose.Book(project.Project(Path()))
    assert book.notebook("gluon") == book.notebook("batch_norm_gluon")
    write(name="more-gluon")
    with pytest.raises(NoValue, match="2 notebooks are called gluon"):
        prose.Book(project.Project(Path())).notebook("gluon")
    write(name="gluon")
    assert prose.Book(project.Project(Path())).notebook("gluon") == Path("gluon.ipynb")


def test_a_file_that_can_not_be_read_is_told_and_the_others_are_read():
    write(text("one", "A 5."))
    Path("broken.ipynb").write_text("{")
    Path("prose.json").write_text(json.dumps({"gone.md": {}}))
    assert [fault.split(":")[0] for fault in faults(prose="prose.json")] == [
        "broken.ipynb can't be read",
        "gone.md can't be read",
        "first-lesson.ipynb, one",
    ]


def test_the_command_suggests_where_a_number_may_come_from(monkeypatch, capsys):
    write(
        code("above", "0.5"),
        code("near", "rate 0.471, 0.4\nloss 0.47"),
        text("one", "It is 47 %."),
        code("below", "47.3"),
    )
    monkeypatch.setattr("sys.argv", ["prose", "first-lesson.ipynb"])
    with pytest.raises(SystemExit, match="1 to correct"):
        prose.main()
    assert capsys.readouterr().out.splitlines() == [
        'first-lesson.ipynb, one: "It is 47 %.": 47 has no record.',
        "  47 may be 100 * near[1][1]  rate 0.471, 0.4",
        "  47 may be 100 * near[2][1]  loss 0.47",
        "  47 may be below[1][1]  47.3",
    ]


def test_the_command_passes_no_file_that_it_does_not_look_at(monkeypatch, tmp_path):
    write(text("one", "It is 5.", {"constants": ["5"]}))
    Path("page.md").write_text("A 5.\n")
    Path("other.md").write_text("A 5.\n")
    Path("prose.json").write_text(json.dumps({"page.md": {"constants": ["5"]}}))
    Path("pyproject.toml").write_text('[tool.regression]\nprose = "prose.json"\n')
    known = ["first-lesson.ipynb", str(tmp_path / "page.md")]
    monkeypatch.setattr("sys.argv", ["prose", *known])
    prose.main()
    monkeypatch.setattr("sys.argv", ["prose", *known, "other.md"])
    with pytest.raises(SystemExit) as stopped:
        prose.main()
    assert stopped.value.code == (
        "Expected notebooks below . or pages with an entry in prose.json, found "
        "other.md; correct the name or add the entry."
    )
