# SPDX-License-Identifier: BSD-2-Clause
"""The contenders of one run of the command: started when they are first needed, stopped at its end."""

import contextlib
import copy
import pathlib
import signal
import sys
import tempfile

from stack import SHARED_DATA, place_of_files

from . import CORES
from .contender import registry

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # what ends the command
PHOTOGRAPH = "images/2569067123_aca715a2ee_o.jpg"


class Bench:
    cores = CORES

    def __init__(self, smoke=False):
        self.smoke = smoke
        self.left_out = {}  # name: what is missing
        self._all = registry()
        self._started = {}
        self._files = tempfile.TemporaryDirectory(prefix="gangsaw-bench-", dir=place_of_files())
        self.folder = pathlib.Path(self._files.name)
        self.folder.chmod(0o755)  # some servers run as another user

    def installed(self, name):
        """(whether, what is missing)"""
        return self._all[name].installed()

    def available(self, names):
        """Those that can be started: all, or in a smoke test what is installed. Who is left out is
        remembered in left_out."""
        found = []
        for name in names:
            is_there, missing = self.installed(name)
            if is_there:
                found.append(name)
            elif self.smoke:
                self.left_out[name] = missing
            else:
                raise RuntimeError(f"{name} needs {missing}; ./dev bench installs it")
        return found

    def contender(self, name):
        """Started on first use, and kept until the end."""
        if name not in self._started:
            self._started[name] = self._start(name)
        return self._started[name]

    @contextlib.contextmanager
    def fresh(self, name):
        """One more, newly started, stopped at the end of the block."""
        started = self._start(name)
        try:
            yield started
        finally:
            started.stop()

    def stop(self, name):
        """Before the end: what is idle occupies memory, and may be measured beside others."""
        if name in self._started:
            self._started.pop(name).stop()

    def _start(self, name):
        contender = copy.copy(self._all[name])
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o755)
        try:
            contender.start(folder, self)
        except BaseException:  # whoever ends the command while it starts ends it too
            with contextlib.suppress(Exception):
                contender.stop()
            raise
        return contender

    @property
    def stack(self):
        """Gangsaw's: its database, its status, its logs."""
        return self.contender("gangsaw").stack

    @property
    def photograph(self):
        """A real one; None when the shared data are missing."""
        file = SHARED_DATA / PHOTOGRAPH
        return file if file.is_file() else None

    def close(self):
        """What uses another's database goes before it: newest first. Who is impatient now waits: what has a session
        of its own would be left behind."""
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        for name in reversed(list(self._started)):
            try:
                self._started.pop(name).stop()
            except Exception as error:  # the others are to end too
                print(f"{name} did not stop: {error}", file=sys.stderr)
        self._files.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
