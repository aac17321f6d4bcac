"""How checks are asked for, and how they answer: a name each, or all, and JSON of what was looked at and what is wrong."""

import argparse
import contextlib
import io
import json
import pathlib
import sys


def main(checks, about, option, folder):
    """Runs those that are asked for. `folder` is told where to look instead, where `option` says so."""
    parser = argparse.ArgumentParser(description=f"says what is wrong with {about}")
    parser.add_argument(option, type=pathlib.Path, help=f"another folder than {about}", dest="folder")
    parser.add_argument("check", nargs="*", help=", ".join(checks))
    args = parser.parse_args()
    folder(args.folder)
    said = {}
    for name in args.check or checks:
        # What libraries print is not for whoever reads our JSON.
        with contextlib.redirect_stdout(io.StringIO()):
            looked, faults = checks[name]()
        said[name] = {"looked": looked, "faults": faults}
    json.dump(said, sys.stdout, indent=1)
