# SPDX-License-Identifier: BSD-2-Clause
"""The host tests of mm/: which they are, what they link, how they are built and run in pieces.

What scripts/mutants and scripts/coverage share; not a program. `make unit` compiles each
program in one go; here each source is compiled once and linked into all that name it.
"""

import collections
import concurrent.futures
import glob
import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading

BUILD = os.environ.get("B") or "build"
JOBS = int(os.environ.get("JOBS") or os.cpu_count() or 1)
CC = "gcc"
FLAGS = ("-std=gnu17", "-I.", "-g", "-w", "-fno-strict-aliasing", "-fno-builtin")
LIBRARIES = ("-lcmocka", "-pthread")

TESTS = ("tests/unit/test_*.c",)
# What links one of these tests something else, with mm/ underneath it.
NOT_ABOUT_MM = ("hv/", "arch/", "boot/", "drivers/")
HEADERS = ("*/*.h", "*/*/*.h", "*/*/*/*.h")

SOURCES = re.compile(r"\bsources: *(.*?) *(?:\*/)?$", re.MULTILINE)
STARTED = re.compile(r"^\[ RUN +\] (\S+)")
FAILED = re.compile(r"^\[ +FAILED +\] (?!\d+ )(.*\S)")

Program = collections.namedtuple("Program", "name sources")
# `test` is the first that failed (None: all passed); `how` says what else than a failed
# assertion it was; `output` is what the program printed until then.
Outcome = collections.namedtuple("Outcome", "test how cpu output")


def fail(words):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {words}")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def digest(*parts):
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part if isinstance(part, bytes) else str(part).encode())
                     .digest())
    return total.hexdigest()


def programs():
    """The test programs about mm/, each with all that it is made of."""
    found = []
    for test in sorted(path for pattern in TESTS for path in glob.glob(pattern)):
        patterns = " ".join(SOURCES.findall(read(test).decode())).split()
        named = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
        if (any(path.startswith("mm/") for path in named)
                and not any(path.startswith(NOT_ABOUT_MM) for path in named)):
            found.append(Program(os.path.basename(test)[:-len(".c")], (test, *named)))
    return found


def in_parallel(function, items):
    """Yields the results in the order of `items`."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def execute(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    text = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        fail(f"{' '.join(command)}:\n{text}")
    return text


class Objects:
    """One object per source, under B/`folder`/obj, made again when any byte has changed."""

    def __init__(self, folder, flags):
        self.folder = os.path.join(BUILD, folder)
        self.flags = (*FLAGS, *flags)
        # Any header may matter to any source.
        headers = sorted({path for pattern in HEADERS for path in glob.glob(pattern)})
        self.common = digest(execute([CC, "--version"]), self.flags,
                             *(part for path in headers for part in (path, read(path))))

    def path(self, source):
        return os.path.join(self.folder, "obj", source[:-len(".c")] + ".o")

    def compile(self, source, output, *extra):
        os.makedirs(os.path.dirname(output), exist_ok=True)
        execute([CC, *self.flags, *extra, "-c", source, "-o", output])

    def key(self, *sources):
        return digest(self.common, *(part for path in sources for part in (path, read(path))))

    def build(self, source):
        path = self.path(source)
        key = self.key(source).encode()
        if not (os.path.exists(path) and os.path.exists(path + ".key")
                and read(path + ".key") == key):
            self.compile(source, path)
            with open(path + ".key", "wb") as file:
                file.write(key)

    def build_all(self, of_programs):
        sources = sorted({source for program in of_programs for source in program.sources})
        for _ in in_parallel(self.build, sources):
            pass

    def link(self, program, output, instead=None):
        """Links `program`; `instead` maps a source to the object that takes its place."""
        objects = [(instead or {}).get(source) or self.path(source)
                   for source in program.sources]
        execute([CC, *self.flags, *objects, "-o", output, *LIBRARIES])


def run(path, cpu_limit, wall_limit, stop_early=False):
    """Runs a cmocka program. The limit that matters is of CPU time: it does not depend on
    what else this machine does; the wall clock is for a program that sleeps forever."""
    started, failed, lines = None, None, []
    # Line-buffered, so that the last test that began is known when the program dies.
    process = subprocess.Popen(["stdbuf", "-oL", path], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_limit, cpu_limit + 5))
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    # Not process.kill(): that may reap the process, and its usage would be lost.
    timer = threading.Timer(wall_limit, os.kill, (process.pid, signal.SIGXCPU))
    timer.start()
    for line in process.stdout:
        lines.append(line.decode(errors="replace").rstrip("\n"))
        if STARTED.match(lines[-1]):
            started = STARTED.match(lines[-1]).group(1)
        elif FAILED.match(lines[-1]) and failed is None:
            failed = FAILED.match(lines[-1]).group(1)
            if stop_early:
                os.kill(process.pid, signal.SIGKILL)
                break
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    how = "" if failed is not None else ending(path, process.returncode)
    return Outcome(failed if failed is not None else (started or "start") if how else None,
                   how, usage.ru_utime + usage.ru_stime, "\n".join(lines))


def ending(path, status):
    """How a program without a failed assertion ended, "" if well."""
    if status == -signal.SIGXCPU:
        return "hangs"
    if status == -signal.SIGKILL:
        # Lack of memory, for one: says nothing about the code.
        fail(f"{path} was killed from outside")
    return signal.Signals(-status).name if status < 0 else f"status {status}" if status else ""
