"""Runs one server until its standard input ends, and leaves nothing of it behind.

    supervise.py LOG PROGRAM [ARGUMENT ...]

The test that starts a server holds the other end of standard input: it ends when the test drops it, and also when the
test is killed. Whatever the server has started (Lambda environments, for example) is taken over (a subreaper adopts
orphans) and ends with it. Only descendants of this process are ever signalled.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECS = 3.0


def descendants():
    """The ids of all processes below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    # The name of the program may hold spaces and parentheses: what follows its end is regular.
                    parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    below, found = {os.getpid()}, set()
    while below:
        below = {child for child, parent in parents.items() if parent in below} - found
        found |= below
    return found


def end_all(server):
    """First politely, then not."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(GRACE_SECS)
        except subprocess.TimeoutExpired:
            pass
    for _ in range(100):
        left = descendants()
        if not left:
            return
        for child in left:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        time.sleep(0.02)


def main():
    log, program = sys.argv[1], sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(log, "ab") as said:
        server = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), ended.set()), daemon=True).start()
    # Reaps only the server itself: what it left behind is reaped at the end.
    while not ended.wait(0.1) and server.poll() is None:
        pass
    end_all(server)
    sys.exit(server.returncode if server.returncode is not None and server.returncode >= 0 else 1)


main()
