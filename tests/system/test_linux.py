# SPDX-License-Identifier: BSD-2-Clause
"""Debian's Linux in two partitions beside a heartbeat, all on one CPU, on every CPU model."""

import re

import pytest
from machine import LINUX_TIMEOUT
from manifests import LINUX_FILES, PULSE_FILE, linux, manifest, pulse

# The second Linux reboots by a triple fault: to its machine that is a crash.
SHIP = manifest(linux("linux"), linux("second", "bulkhead.heartbeat=1 reboot=t"),
                pulse(cmdline="every=2"))


def enter(machine, name):
    """Attaches to a Linux guest and comes to its prompt."""
    machine.attach(name)
    # Old prompts are shown first: only the answer to a question says that it listens now.
    machine.send("echo in''side\r")
    machine.expect_text("inside")
    machine.expect_text("linux# ")
    machine.read_what_is_there("")
    machine.process.buffer = ""


@pytest.mark.more_machines
def test_two_linux_and_pulse(emulated, image, start):
    machine = start(emulated, image(SHIP, [*LINUX_FILES, PULSE_FILE]))
    patience = LINUX_TIMEOUT[emulated[0]]
    machine.boot()
    for name in ("linux", "second"):
        machine.wait_output(name, "^linux: ready$", patience)

    enter(machine, "linux")
    assert machine.linux("echo $((6*7))") == "42\n"
    # More than its receiver holds, in one go: typed ahead, nothing lost.
    assert machine.linux("echo " + "0123456789" * 5 + " | wc -c") == "51\n"
    assert re.fullmatch(r"6\.1\.0-\d+-cloud-amd64\n", machine.linux("uname -r"))
    cpuinfo = machine.linux("cat /proc/cpuinfo")
    assert len(re.findall(r"^processor\s*: 0$", cpuinfo, re.MULTILINE)) == 1
    assert re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)
    assert not re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE)
    interrupts = machine.linux("cat /proc/interrupts")
    assert re.search(r"^ *4: +[1-9]\d* +IO-APIC .*ttyS0", interrupts, re.MULTILINE), interrupts
    total = int(re.search(r"MemTotal: +(\d+) kB", machine.linux("head -1 /proc/meminfo")).group(1))
    assert 60 * 1024 < total < 128 * 1024
    complaints = machine.linux("dmesg | grep -iE 'oops|BUG:|call trace|soft lockup|unstable'")
    assert complaints == ""

    # Ctrl-] comes back, and what was typed in the guest is still there.
    machine.detach()
    assert machine.states() == {"linux": "running", "second": "running", "pulse": "running"}
    machine.wait_beats("second", 2)
    machine.wait_beats("pulse", 2)

    enter(machine, "linux")
    machine.send("poweroff\r")
    machine.detach()
    machine.wait_state("linux", "off", patience)
    shown = machine.shell_json("show linux")
    assert shown["reason"] == "the guest powered off" and shown["starts"] == 1

    enter(machine, "second")
    machine.send("reboot\r")
    machine.detach()
    machine.wait_state("second", "crashed", patience)
    assert "triple fault" in machine.shell_json("show second")["reason"]
    machine.wait_beats("pulse", 2)
    assert machine.power_off() == 0


def test_reboot_inside_boots_the_guest_again(emulated, image, start):
    machine = start(emulated, image(manifest(linux("linux")), LINUX_FILES))
    patience = LINUX_TIMEOUT[emulated[0]]
    machine.boot()
    machine.wait_output("linux", "^linux: ready$", patience)
    enter(machine, "linux")
    machine.send("reboot\r")
    machine.said(r"^\[ *[\d.]+\] linux: restarting: the guest reset itself by \S", patience)
    machine.detach()
    assert machine.shell_json("show linux")["starts"] == 2
    machine.wait_output("linux", "^linux: ready$", patience)
    enter(machine, "linux")
    assert machine.linux("echo again $((2*3))") == "again 6\n"
    machine.detach()
    assert machine.power_off() == 0
