# SPDX-License-Identifier: BSD-2-Clause
"""A build with PROVE_MMU=1: the whole audit after each operation of the MMU, on the machine.

Guests make it do all kinds: faults, views, logs, balloon, grants, absent pages, moved slots.
The hard checks of such a build (M3, M4) are met, too: no guest is to run into one.
"""

from manifests import PULSE_FILE, guest, manifest, pulse

CALLS = "guests/calls.elf"
KERNEL = "prove/bulkhead.elf"


def calls(name, role, **keys):
    return guest(name, "calls.elf", f"role={role}", debug_exit="yes", memory="32M", **keys)


def test_nothing_breaks_a_rule(emulated, image, start):
    text = manifest(calls("self", "self"),
                    calls("owner", "owner peer=grantee"), calls("grantee", "grantee"),
                    calls("manager", "manager count=256", manager="yes"),
                    calls("lazy", "lazy", absent="16M..17M"), pulse())
    machine = start(emulated, image(text, [CALLS, PULSE_FILE], kernel=KERNEL))
    assert "audits after each operation" in machine.boot()
    for name in ("self", "owner", "grantee", "lazy", "manager"):
        machine.wait_state(name, "off", 200)
        output = machine.output(name)
        assert "FAILED" not in output, output
        assert "status     0" in machine.shell(f"show {name}"), output
    machine.wait_beats("pulse", 1)
