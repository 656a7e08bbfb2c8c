"""What is missing is skipped on a laptop and a failure in CI."""

import pytest
from utils import data

from tests.support import missing, need_real_data, stub_cuda

WORDS = "A compass was expected. Buy one."


@pytest.mark.parametrize("value", [None, "", "false"])
def test_what_is_missing_is_skipped(monkeypatch, value):
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception) as skipped:
        missing(WORDS)
    assert str(skipped.value) == WORDS


def test_in_ci_it_is_a_failure(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception) as failed:
        missing(WORDS)
    assert str(failed.value) == f"{WORDS} With CI=true this fails, and is not skipped."


def test_a_missing_compiler_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        pytest.fail.Exception, match=r"compiler .* \(cc or gcc\).* Install"
    ):
        stub_cuda.build(tmp_path)


def test_the_standin_is_no_real_data(monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("BN_STANDIN", "digits")
    with pytest.raises(pytest.fail.Exception, match="needs the real data: unset it"):
        need_real_data()


def test_data_that_are_nowhere_are_missing(monkeypatch, tmp_path):
    for name in "BN_DATA_DIR", "BN_STANDIN", "CI":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(data, "CACHE", tmp_path)
    monkeypatch.setattr(data, "MIRRORS", {"mnist": []})
    with pytest.raises(pytest.skip.Exception, match="No usable copy of mnist/.*"):
        need_real_data()
