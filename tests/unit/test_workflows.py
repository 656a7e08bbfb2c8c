"""GitHub's workflows run only code that is pinned, with no more rights than needed."""

import re
from pathlib import Path

import pytest
import yaml

WORKFLOWS = sorted(Path(__file__).parents[2].glob(".github/workflows/*.yml"))
JOBS = [
    pytest.param(workflow, job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for workflow in [yaml.safe_load(path.read_text(encoding="utf-8"))]
    for name, job in workflow["jobs"].items()
]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_version(path):
    uses = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    loose = [u for u in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", u)]
    assert uses and not loose, (
        f"Expected owner/action@<40 hex digits> # v1.2.3 in {path.name}, found: {loose}"
    )


@pytest.mark.parametrize("workflow, job", JOBS)
def test_a_job_may_read_what_it_checks_out_and_keeps_no_token(workflow, job):
    checkouts = [
        step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")
    ]
    # A job's own permissions replace the workflow's; what they leave out is "none".
    permissions = job.get("permissions", workflow["permissions"])
    assert not checkouts or permissions.get("contents") == "read"
    for step in checkouts:
        assert step.get("with", {}).get("persist-credentials") is False
