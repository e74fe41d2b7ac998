"""Runs a command that is killed when its parent ends, for whatever reason.

processes.py starts each node through it: leash.py PARENT_PID COMMAND...

The Linux kernel sends the signal. The command replaces this program, so that the process id stays
the same.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request SIGKILL for the death of the parent, and then become the command.

    Ends at once if the parent is already gone.
    """
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
