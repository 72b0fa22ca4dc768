"""Runs a command for as long as standard input is open, and lets nothing of it survive.

    python guard.py <command> [<argument> …]

SIGTERM is passed on. When standard input ends (the engine is gone, or has no more use for it), the command and all
that it started are killed, also what it started in sessions of its own; likewise what it left behind when it ended
by itself. Only the standard library, for it runs before any environment counts.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def adopt_orphans():
    """Makes processes whose parent ends children of this one (Linux), also those with a session of their own."""
    try:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (AttributeError, OSError, TypeError):
        pass


def descendants():
    """All processes below this one."""
    children = {}
    for process, parent in processes():
        children.setdefault(parent, []).append(process)
    found, left = [], [os.getpid()]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def processes():
    """Process and parent of all that run; the dead that nobody has waited for do not count."""
    if os.path.isdir("/proc/self"):
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue  # it has just ended
            if state != "Z":
                yield int(name), int(parent)
        return
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        for line in ps.communicate()[0].splitlines():
            process, parent, state = line.split(None, 2)
            if not state.startswith("Z") and int(process) != ps.pid:
                yield int(process), int(parent)


def run(words, folder=None, env=None):
    """Runs a command, and ties its life to the engine's: this process reads nothing from its input but its end."""
    asked, started = [], []

    def stop(*_):
        # the command alone: it decides what its own children do, as PID 1 in a container would
        asked.append(True)
        for child in started:
            child.send_signal(signal.SIGTERM)

    def kill():
        try:
            os.killpg(child.pid, signal.SIGKILL)  # for systems that do not give orphans to this process
        except ProcessLookupError:
            pass
        for _ in range(100):  # while they die, they may start others
            left = descendants()
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            if not left:
                return
            time.sleep(0.01)

    def wait_for_the_end():
        while os.read(0, 4096):
            pass
        kill()

    adopt_orphans()
    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    if asked:
        child.send_signal(signal.SIGTERM)
    started.append(child)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    code = child.wait()
    kill()  # what it left behind
    return 128 - code if code < 0 else code


def leave(code):
    """Ends at once, without waiting for the thread that reads."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(run(sys.argv[1:]))
