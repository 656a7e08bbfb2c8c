"""Run notebooks again and compare them; ratios of durations get a second chance.

    python -m regression [options of pytest] FOLDER

Other work on the machine can spoil a ratio of durations. Where nothing else was off in
the notebooks, those run once more, alone, and what that says counts; but not if other
processes took the cores meanwhile.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from regression.run import cores

PYTEST = ["-m", "pytest", "-p", "regression.plugin", "--nbval", "--nbval-current-env"]
# So many cores, on average, are too many to be taken by others where ratios are judged.
TAKEN = 0.5


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        spoiled = Path(folder) / "spoiled.json"
        options = [*arguments, f"--regression-spoiled={spoiled}"]
        status = run([*options, "-n", "auto", "--dist", "loadfile"])
        again = notebooks(spoiled)
        if status == 1 and again:
            print(
                f"Only ratios of durations were off; again, alone: {', '.join(again)}."
            )
            # The first run's report stays: it has all notebooks.
            unread = [
                f"{name}={folder}/again"
                for name in ("--regression-summary", "--junitxml")
            ]
            only = f"--regression-only={json.dumps(again)}"
            spoiled.unlink()  # so that a second run that dies leaves none
            start, before = time.monotonic(), taken_by_others()
            status = run([*options, only, *unread])
            taken = (taken_by_others() - before) / (time.monotonic() - start)
            # Of the cores that this process may not use, others may take all.
            if taken - (os.cpu_count() - cores()) >= TAKEN and notebooks(spoiled):
                print(
                    "Not judged: ratios of durations in "
                    f"{', '.join(notebooks(spoiled))}, since other processes took "
                    f"{taken:.1f} of {os.cpu_count()} cores meanwhile. All else is "
                    "right; run this again on a quiet machine."
                )
                status = 0
    return status


def notebooks(spoiled: Path) -> list[str]:
    """The notebooks in which only ratios of durations were off."""
    return json.loads(spoiled.read_text()) if spoiled.exists() else []


def taken_by_others(stat: Path = Path("/proc/stat")) -> float:
    """The time, in seconds of one core, that other processes have taken so far.

    stat: where Linux counts the time of all cores. Where there is none, 0.
    """
    try:
        times = [int(n) for n in stat.read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return 0.0
    _, _, _, idle, waiting, *_ = times
    busy = (sum(times) - idle - waiting) / os.sysconf("SC_CLK_TCK")
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return busy - sum(usage.ru_utime + usage.ru_stime for usage in usages)


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
