"""Run a command that dies when its parent dies, however the parent ends.

Started by processes.py before each node.

Usage: leash.py PARENT_PID COMMAND... The kernel (Linux) sends the signal. The command replaces this
program, so that the pid stays.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGKILL at the parent's death, then become the command.

    Leaves at once if the parent is gone already.
    """
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
