# SPDX-License-Identifier: BSD-2-Clause
"""What every system test is given: images made of manifests, and machines to boot them.

Environment: B, the build folder. Set by scripts/run-tests, when several workers share the
tests: BULKHEAD_CLAIMS (a folder; who makes a test's file there runs it) and
BULKHEAD_PROGRESS_FD (where one line a test is written).
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile

import pytest
from _pytest.runner import runtestprotocol

sys.path.insert(0, os.path.dirname(__file__))
sys.dont_write_bytecode = True

from machine import ROOT, Machine  # noqa: E402  (found by the path above)

BUILD = os.path.join(ROOT, os.environ.get("B") or "build")
OUTPUT = os.path.join(BUILD, "system")
CLAIMS = os.environ.get("BULKHEAD_CLAIMS")
PROGRESS_FD = os.environ.get("BULKHEAD_PROGRESS_FD")

# What a test runs on unless it says more: both vendors, both emulators.
MACHINES = (("qemu", "max"), ("bochs", "corei7_skylake_x"))
MORE_MACHINES = MACHINES + (
    ("qemu", "EPYC"),
    ("bochs", "corei7_haswell_4770"),
    ("bochs", "corei7_ivy_bridge_3770k"),
)


# What takes minutes comes first: two workers then end at about the same time.
LONG_FIRST = ("two_linux", "every_kind_of_damage", "reboot_inside", "hostile")


def machine_id(pair):
    return "-".join(pair)


def pytest_configure(config):
    config.addinivalue_line("markers", "more_machines: on every CPU model that is covered")
    config.addinivalue_line("markers", "bochs: boots Bochs (set by itself)")
    config.addinivalue_line("markers", "qemu: boots QEMU (set by itself)")
    config.addinivalue_line("markers", "only(emulator): on that emulator alone")
    os.makedirs(OUTPUT, exist_ok=True)


def pytest_generate_tests(metafunc):
    if "emulated" not in metafunc.fixturenames:
        return
    machines = MACHINES
    if metafunc.definition.get_closest_marker("more_machines"):
        machines = MORE_MACHINES
    only = metafunc.definition.get_closest_marker("only")
    if only:
        machines = [pair for pair in machines if pair[0] in only.args]
    metafunc.parametrize("emulated", machines, ids=[machine_id(pair) for pair in machines])


def pytest_collection_modifyitems(items):
    """Marks each test with its emulator (-m bochs, -m qemu); the longest come first."""
    for item in items:
        item.add_marker("bochs" if "bochs" in item.name else "qemu")

    def place(item):
        slow = [at for at, name in enumerate(LONG_FIRST) if name in item.name]
        return (slow[0] if slow else len(LONG_FIRST),
                item.get_closest_marker("bochs") is None)

    items.sort(key=place)


# --- several workers -----------------------------------------------------------------------


def file_name_of(nodeid):
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", nodeid.rsplit("/", 1)[-1]).strip("-")


def pytest_runtest_protocol(item, nextitem):
    """With claims: runs the test if no other worker has it, else leaves it out."""
    if not CLAIMS:
        return None
    try:
        os.close(os.open(os.path.join(CLAIMS, file_name_of(item.nodeid)),
                         os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    # Whether the next item is ours is not known: everything is torn down in between.
    runtestprotocol(item, nextitem=None)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_runtest_logreport(report):
    if PROGRESS_FD and (report.when == "call" or report.failed):
        word = "FAIL" if report.failed else "skip" if report.skipped else "pass"
        name = report.nodeid.rsplit("/", 1)[-1]
        part = "" if report.when == "call" else f" ({report.when})"
        os.write(int(PROGRESS_FD),
                 f"{word}  system: {name}{part} ({report.duration:.0f} s)\n".encode())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of each console to a failed test's report."""
    outcome = yield
    report = outcome.get_result()
    if call.when == "call" and report.failed:
        for machine in getattr(item, "machines", []):
            report.sections.append((f"console of {machine.emulator} {machine.cpu} "
                                    f"({machine.log_path})", machine.log_tail()))


# --- images --------------------------------------------------------------------------------


def digest_of(*parts):
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def file_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def build_path(name):
    """A file of the build folder: "linux/vmlinuz", "guests/pulse.elf"."""
    path = os.path.join(BUILD, name)
    assert os.path.isfile(path), f"{path} is missing: make iso guests"
    return path


def make_image(manifest=None, files=(), cmdline="", missing_ok=False, grub=(),
               kernel="bulkhead.elf"):
    """
    An ISO with this manifest (text; None: no module at all) and `files`: paths below the
    build folder, or pairs of name and bytes; `kernel` is such a path. Made once for equal
    contents.
    """
    contents = {}
    for entry in files:
        if isinstance(entry, str):
            contents[os.path.basename(entry)] = file_bytes(build_path(entry))
        else:
            contents[entry[0]] = entry[1]
    kernel = build_path(kernel)
    key = digest_of(file_bytes(kernel), cmdline, str(missing_ok), repr(manifest), repr(grub),
                    *(part for name in sorted(contents) for part in (name, contents[name])))
    images = os.path.join(OUTPUT, "images")
    iso = os.path.join(images, f"{key}.iso")
    if os.path.isfile(iso):
        return iso
    os.makedirs(images, exist_ok=True)
    # Another worker may be making the same one: each in a folder of its own.
    with tempfile.TemporaryDirectory(prefix=f"{key}-", dir=images) as folder:
        made = os.path.join(folder, "image.iso")
        for name, data in contents.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        command = [os.path.join(ROOT, "scripts", "mkimage"), "--iso", made, "--kernel", kernel,
                   "--cmdline", cmdline]
        if missing_ok:
            command.append("--missing-ok")
        command += [f"--grub={line}" for line in grub]
        if manifest is not None:
            path = os.path.join(folder, "bulkhead.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(manifest)
            command.append(path)
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False)
        assert result.returncode == 0, result.stdout
        os.replace(made, iso)
    return iso


@pytest.fixture
def image():
    """The function make_image()."""
    return make_image


@pytest.fixture
def start(request):
    """A function of (emulator, cpu), image and Machine's options that starts a machine."""
    request.node.machines = []

    def start_machine(pair, iso, **options):
        number = len(request.node.machines)
        log = os.path.join(OUTPUT, f"{file_name_of(request.node.nodeid)}"
                                   f"{f'-{number}' if number else ''}.log")
        machine = Machine(*pair, iso, log=log, **options)
        request.node.machines.append(machine)
        return machine

    yield start_machine
    for machine in request.node.machines:
        machine.close()
