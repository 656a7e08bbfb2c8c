"""Programs that a test starts and interrupts."""

import signal
import subprocess
import time

# A cell that says that it runs, and then runs forever.
STARTED = "started"
ENDLESS = f"open('{STARTED}', 'w').close()\nimport threading; threading.Event().wait()"


def interrupt(command, folder, env, by=signal.SIGINT):
    """Run `command`, end it once the file STARTED is there: (status, output).

    by: the signal, which without more is that of Ctrl-C.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background, the shell has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (folder / STARTED).exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(by)
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, output
