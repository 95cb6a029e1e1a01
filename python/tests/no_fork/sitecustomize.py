"""The first fork of this interpreter finds no room."""

import errno
import os

_fork = os.fork


def fork() -> int:
    os.fork = _fork
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


os.fork = fork
