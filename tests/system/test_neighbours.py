# SPDX-License-Identifier: BSD-2-Clause
"""What one partition does to the others, and to the operator, without breaking any rule."""

import time

from manifests import PULSE_FILE, guest, manifest, pulse

# mov al, 6; mov dx, 0xcf9; out dx, al; hlt: resets itself as its first act.
RESETS = ("resets.bin", b"\xb0\x06\xba\xf9\x0c\xee\xf4")
# 1: pause; jmp 1: never reads its serial port.
DEAF = ("deaf.bin", b"\xf3\x90\xeb\xfc")


def raw(name, file):
    return guest(name, file, format="raw", load="0x7c00", memory="2M")


def test_reset_storm_costs_the_neighbour_nothing(emulated, image, start):
    """Its rebuilding is rationed, and the neighbour's registers and memory stay its own."""
    text = manifest(pulse(), raw("storm", "resets.bin"))
    machine = start(emulated, image(text, [PULSE_FILE, RESETS]))
    machine.boot()
    machine.wait_beats("pulse", 1)
    machine.said(r"storm: restarting: the guest reset itself by ", 60)
    before = machine.shell_json("show storm")["starts"]
    uptime = machine.shell_json("machine")["uptime_us"]
    machine.wait_beats("pulse", 12)
    lives = machine.shell_json("show storm")["starts"] - before
    seconds = (machine.shell_json("machine")["uptime_us"] - uptime) / 1e6
    assert lives >= 1, "it was never restarted"
    # One every two seconds, and the few that go at once.
    assert lives <= seconds / 2 + 6, f"{lives} lives in {seconds:.1f} s"
    assert "WRONG" not in machine.output("pulse", 4096)
    assert machine.states()["pulse"] == "running"


def test_start_and_restart_beside_a_running_partition(emulated, image, start):
    """Building a partition leaves the registers of the one that is loaded alone."""
    text = manifest(pulse("witness"), pulse("other", start="no"))
    machine = start(emulated, image(text, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("witness", 1)
    machine.shell("start other")
    for _ in range(5):
        machine.shell("restart other")
        machine.shell("regs other")
        machine.wait_beats("witness", 1)
    assert "WRONG" not in machine.output("witness", 4096)
    assert machine.states() == {"witness": "running", "other": "running"}


def test_a_deaf_guest_does_not_keep_the_operator(emulated, image, start):
    text = manifest(raw("deaf", "deaf.bin"), pulse())
    machine = start(emulated, image(text, [DEAF, PULSE_FILE]))
    machine.boot()
    machine.attach("deaf")
    machine.send("more than its receiver holds, and it never reads a byte of it")
    time.sleep(1)
    machine.detach()
    machine.wait_beats("pulse", 1)
    assert machine.states()["deaf"] == "running"
    assert machine.power_off() == 0
