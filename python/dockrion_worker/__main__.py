"""`python -u -X utf8 -m dockrion_worker zygote|validate|doctor`."""

import sys


def main() -> int:
    # `-m` has put the agent's folder first. Its `queue.py` must not become ours: it waits until all is imported.
    if sys.path and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    from . import commands

    return commands.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
