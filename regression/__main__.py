"""Run notebooks again and compare them; ratios of durations get a second chance.

    python -m regression [options of pytest] FOLDER

Other work on the machine can spoil a ratio of durations. Where nothing else was off in
the notebooks, those run once more, alone, and what that says counts.
"""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PYTEST = ["-m", "pytest", "-p", "regression.plugin", "--nbval", "--nbval-current-env"]


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        spoiled = Path(folder) / "spoiled.json"
        options = [*arguments, f"--regression-spoiled={spoiled}"]
        status = run([*options, "-n", "auto", "--dist", "loadfile"])
        again = json.loads(spoiled.read_text()) if spoiled.exists() else []
        if status == 1 and again:
            print(
                f"Only ratios of durations were off; again, alone: {', '.join(again)}."
            )
            # The first run's report stays: it has all notebooks.
            options = ["--regression-summary", "--junitxml"]
            unread = [f"{name}={folder}/again" for name in options]
            only = f"--regression-only={json.dumps(again)}"
            status = run([*arguments, only, *unread])
    return status


def run(options: list[str]) -> int:
    """The exit status of pytest, which ends in order where it is interrupted."""
    # In a session of its own, so that Ctrl-C reaches it once, by way of this process.
    process = subprocess.Popen(
        [sys.executable, *PYTEST, *options], start_new_session=True
    )
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        # nohup, for one, has ignored what must not end the run.
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
