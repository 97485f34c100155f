# SPDX-License-Identifier: BSD-2-Clause
"""Builds a test program around mm/ with a compiler's instruments. Shared by scripts/race and
scripts/fuzz; not a program. The MMU is compiled as it is, but for tests/mmu/host.h."""

import concurrent.futures
import glob
import os
import subprocess
import sys

BUILD = os.environ.get("B") or "build"
MMU = ("mm/*.c", "lib/bug.c", "lib/status.c", "lib/printf.c", "tests/mmu/*.c")
HEADERS = ("lib/*.h", "mm/*.h", "tests/mmu/*.h", "tests/race/*.h")
FLAGS = ("-std=gnu17", "-g", "-O2", "-Wall", "-Wextra", "-Werror", "-I.", "-fno-strict-aliasing",
         "-fno-builtin", "-fno-omit-frame-pointer",
         "-D__builtin_ia32_pause=host_pause", "-include", "tests/mmu/host.h")


class Tally:
    """Counts, and says each result as it comes."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def note(self, good, name, output=""):
        self.passed += good
        self.failed += not good
        print(f"{'pass' if good else 'FAIL'}  {name}", flush=True)
        if not good:
            print("".join(f"      | {line}\n" for line in output.rstrip().splitlines()[-60:]),
                  end="", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def run(command, timeout, **environment):
    """(status, output); status None when it took too long."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=timeout, check=False,
                                env={**os.environ, **environment})
        return result.returncode, result.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace") + "\n(took too long)"
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"


def newest(patterns):
    return max(os.path.getmtime(path) for pattern in patterns for path in glob.glob(pattern))


def build(program, compiler, instruments, sources, extra=None):
    """(status, output); `extra` gives the flags of one source instead of `instruments`."""
    output = os.path.join(BUILD, program)
    made = output + ".d"
    os.makedirs(made, exist_ok=True)
    common = max(newest(HEADERS), os.path.getmtime(__file__))

    def compile_one(source):
        target = os.path.join(made, source.replace("/", "_") + ".o")
        if os.path.exists(target) and os.path.getmtime(target) > max(common,
                                                                     os.path.getmtime(source)):
            return 0, "", target
        flags = (extra or (lambda _: None))(source)
        flags = instruments if flags is None else flags
        return (*run([compiler, *FLAGS, *flags, "-c", source, "-o", target], 300), target)

    paths = sorted({path for pattern in sources for path in glob.glob(pattern)})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(compile_one, paths))
    for status, text, _ in results:
        if status != 0:
            return status, text
    return run([compiler, *instruments, *(target for _, _, target in results), "-o", output,
                "-pthread"], 300)
