# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes of the operator: each is named by its place, and whatever is right starts."""

import re

import pytest
from conftest import build_path, file_bytes
from machine import clean
from manifests import PULSE_FILE, guest, manifest, pulse, section

GOOD = pulse(cmdline="every=2")

# What is wrong in a partition's section -> the key that is blamed, and a word of the rule.
MISTAKES = (
    ("colour = blue", "colour", "unknown key"),
    ("memory = lots", "memory", "is no size"),
    ("memory = 5000", "memory", "out of range"),
    ("memory = 2097153", "memory", "whole pages"),
    ("vcpus = 9", "vcpus", "numbers from 1 to"),
    ("cpus = 1-", "cpus", "list of CPUs"),
    ("on-bug = explode", "on-bug", "halt, restart"),
    ("max-restarts = -1", "max-restarts", "numbers from 0 to"),
    ("start = maybe", "start", "no, yes"),
    ("format = zip", "format", "auto, bzimage, elf, raw"),
    ("load = 0x7c00", "load", "only with format = raw"),
    ("kernel = a.elf b.elf", "kernel", "more than one word"),
    ('cmdline = "open', "cmdline", "not closed"),
    ("cmdline one two", "cmdline", "KEY = VALUE"),
)


def broken_partition(number, mistake):
    """A section with a mistake on its second line; what it needs besides is right."""
    key = re.match(r"[a-z-]+", mistake).group()
    rest = [f"{name} = {value}" for name, value in (("kernel", "pulse.elf"), ("memory", "16M"))
            if name != key]
    return "\n".join([f'[partition "bad{number}"]', mistake, *rest]) + "\n"


def check_alive(machine):
    assert machine.states()["pulse"] == "running"
    machine.wait_beats("pulse")


def test_every_mistake_is_named_by_file_line_and_key(emulated, image, start):
    text = manifest(*(broken_partition(number, mistake[0])
                      for number, mistake in enumerate(MISTAKES)), GOOD)
    machine = start(emulated, image(text, [PULSE_FILE], missing_ok=True))
    said = machine.boot()
    lines = text.split("\n")
    for mistake, key, rule in MISTAKES:
        line = lines.index(mistake) + 1
        found = re.search(rf"manifest: bulkhead\.conf:{line}: {re.escape(key)}: (.*)$", said,
                          re.MULTILINE)
        assert found and rule in found.group(1), (mistake, said)
    assert len(re.findall(r"manifest: bulkhead\.conf:\d+: ", said)) == len(MISTAKES), said
    assert f"manifest: {len(MISTAKES) + 1} partitions, {len(MISTAKES)} errors" in said
    states = machine.states()
    assert all(states[f"bad{number}"] == "stopped" for number in range(len(MISTAKES))), states
    check_alive(machine)
    # A refused one stays refused, and says where to look.
    assert "refused" in machine.shell("start bad0")
    assert machine.states()["bad0"] == "stopped"


@pytest.mark.only("qemu")
@pytest.mark.parametrize("header, rule", (
    ('[partition "pulse"]', "name is taken by line 2"),
    ('[partition "two words"]', "bad name"),
    ("[partition]", "no name in double quotes"),
    ('[partition "x"', "does not end in ']'"),
    ("[machines]", "unknown section"),
))
def test_mistakes_in_headers(emulated, image, start, header, rule):
    text = manifest(GOOD) + header + "\nkernel = pulse.elf\nmemory = 16M\n"
    line = text.split("\n").index(header, 2) + 1
    machine = start(emulated, image(text, [PULSE_FILE]))
    said = machine.boot()
    assert re.search(rf"bulkhead\.conf:{line}: \[.*: .*{re.escape(rule)}", said), said
    check_alive(machine)


@pytest.mark.only("qemu")
@pytest.mark.parametrize("text, rule", (
    ("", r"bulkhead\.conf:1: bulkhead: missing"),
    ("bulkhead = 2\n" + GOOD, r"bulkhead\.conf:1: bulkhead: format version \"2\" is not known"),
    (GOOD, r"bulkhead\.conf:1: bulkhead: missing; the first line must be bulkhead = 1"),
    ("bulkhead = 1\n\0", r"bulkhead\.conf:2: file: a NUL byte"),
), ids=("empty", "version 2", "no version", "NUL"))
def test_a_manifest_that_is_none(emulated, image, start, text, rule):
    machine = start(emulated, image(text, [PULSE_FILE]))
    said = machine.boot()
    assert re.search(rf"manifest: {rule}", said), said
    assert "nothing of bulkhead.conf can be used" in said
    assert machine.states() == {}
    assert "no partition" in machine.shell("show pulse")
    assert machine.power_off() == 0


def elf_without_note():
    """Neither a PVH note nor a Multiboot header: the first page of an ELF, patched."""
    data = file_bytes(build_path("guests/mb1.elf"))
    return data.replace(b"\x02\xb0\xad\x1b", b"\0\0\0\0").replace(b"Xen\0", b"Abc\0")


def test_every_damaged_kernel_is_a_clear_message(emulated, image, start):
    """Each partition has a kernel that ends too early or is none at all."""
    bzimage = file_bytes(build_path("linux/vmlinuz"))
    elf = file_bytes(build_path("guests/mb1-64.elf"))
    kernels = {
        "elf-header": (elf[:40], "ELF header: the file ends at 0x28"),
        "elf-table": (elf[:64], "program headers at 0x40; the file ends at 0x40"),
        "elf-segment": (elf[:0x2000], "the file ends at"),
        "elf-plain": (elf_without_note(), "neither a PVH note"),
        "bz-header": (bzimage[:0x220], "the file ends at 0x220"),
        "bz-setup": (bzimage[:0x300], "the file has"),
        "bz-kernel": (bzimage[:1 << 20], "the file has"),
        "text": (b"#!/bin/sh\necho no kernel\n" * 50, "format unknown"),
        "tiny": (b"\x7f", "format unknown"),
    }
    sections = [section(name, kernel=f"{name}.bin", memory="64M") for name in kernels]
    sections.append(section("raw-big", kernel="big.bin", format="raw", load="0xff000",
                            memory="16M"))
    kernels["raw-big"] = (b"\x90" * 8192, "not in the partition's RAM")
    files = [(f"{name}.bin", data) for name, (data, _) in kernels.items() if name != "raw-big"]
    files.append(("big.bin", kernels["raw-big"][0]))
    machine = start(emulated, image(manifest(*sections, GOOD), [PULSE_FILE, *files]))
    said = machine.boot()
    for row in machine.shell_json("ps"):
        if row["name"] == "pulse":
            continue
        assert row["state"] == "stopped", row
        assert kernels[row["name"]][1] in row["reason"], row
        # The whole message, with its file, is a line of the log.
        assert re.search(rf"^\[ *[\d.]+\] {row['name']}: \S*.*\.bin: ", said, re.MULTILINE), said
    check_alive(machine)


@pytest.mark.only("qemu")
def test_an_empty_file_as_kernel(emulated, image, start):
    machine = start(emulated, image(manifest(guest("empty", "empty.bin"), GOOD),
                                    [PULSE_FILE, ("empty.bin", b"")]))
    machine.boot()
    row = machine.shell_json("show empty")
    assert row["state"] == "stopped"
    assert "empty.bin" in row["reason"], row
    check_alive(machine)


@pytest.mark.only("qemu")
@pytest.mark.parametrize("key", ("kernel", "initrd", "module"))
def test_a_file_that_is_not_there(emulated, image, start, key):
    keys = {"kernel": "pulse.elf", "memory": "16M", key: "gone.bin"}
    machine = start(emulated, image(manifest(section("lost", **keys), GOOD), [PULSE_FILE],
                                    missing_ok=True))
    assert re.search(rf'lost: stopped: {key}: .*no module named "gone\.bin"', machine.boot())
    assert machine.states()["lost"] == "stopped"
    check_alive(machine)


@pytest.mark.only("qemu")
def test_too_much_memory_is_refused_and_leaves_none_behind(emulated, image, start):
    machine = start(emulated, image(manifest(guest("huge", "pulse.elf", memory="3G"), GOOD),
                                    [PULSE_FILE]))
    machine.boot()
    before = machine.shell_json("machine")["frames_free"]
    since = machine.mark()
    assert "not enough host memory" in machine.shell("start huge")
    assert "huge" in clean(machine.transcript.text[since:])
    assert machine.states()["huge"] == "stopped"
    assert machine.shell_json("machine")["frames_free"] == before
    check_alive(machine)
