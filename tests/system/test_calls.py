# SPDX-License-Identifier: BSD-2-Clause
"""Guests that take part: hypercalls, grants, managers, and the prompt's verbs about memory."""

import re

from machine import LINUX_TIMEOUT
from manifests import LINUX_FILES, PULSE_FILE, guest, linux, manifest, pulse

CALLS = "guests/calls.elf"


def calls(name, role, **keys):
    keys.setdefault("memory", "32M")
    return guest(name, "calls.elf", f"role={role}", debug_exit="yes", **keys)


def assert_good(machine, name, timeout=120):
    """The guest ends by itself, and nothing of what it tried was wrong."""
    machine.wait_state(name, "off", timeout)
    output = machine.output(name)
    assert "FAILED" not in output, output
    assert "status     0" in machine.shell(f"show {name}"), output
    assert machine.shell_json(f"mmu audit {name}")["violations"] == 0


def test_all_by_itself(emulated, image, start):
    """Console, dirty log against its own record, views (VMFUNC, too), balloon; and noise."""
    text = manifest(calls("self", "self"), calls("noise", "noise"), pulse())
    machine = start(emulated, image(text, [CALLS, PULSE_FILE]))
    machine.boot()
    assert_good(machine, "self")
    assert "calls: by hypercall" in machine.output("self")
    if machine.cpu == "corei7_skylake_x":
        assert "calls: vmfunc ok" in machine.output("self")
    assert_good(machine, "noise")
    assert machine.shell_json("balloon self") == {"given": 0, "gave": 257, "took": 257}
    machine.wait_beats("pulse", 1)


def test_grant_and_revoke(emulated, image, start):
    text = manifest(calls("owner", "owner peer=grantee"), calls("grantee", "grantee"), pulse())
    machine = start(emulated, image(text, [CALLS, PULSE_FILE]))
    machine.boot()
    assert_good(machine, "owner")
    assert_good(machine, "grantee")
    assert machine.shell_json("grants") == []
    machine.wait_beats("pulse", 1)


def test_a_manager_fills_absent_pages(emulated, image, start):
    text = manifest(calls("manager", "manager count=512", manager="yes"),
                    calls("one", "lazy", absent="16M..17M"),
                    calls("two", "lazy", absent="16M..17M"), pulse())
    machine = start(emulated, image(text, [CALLS, PULSE_FILE]))
    machine.boot()
    for name in ("one", "two", "manager"):
        assert_good(machine, name)
    assert machine.shell_json("fault list") == []
    machine.wait_beats("pulse", 1)


def test_linux_beside_a_manager_and_under_changes(emulated, image, start):
    """Linux keeps its time and its memory while others are filled, and its own slot is logged."""
    text = manifest(linux("linux", "bulkhead.heartbeat=1"),
                    calls("manager", "manager count=256", manager="yes"),
                    calls("lazy", "lazy", absent="16M..17M"))
    machine = start(emulated, image(text, [CALLS, *LINUX_FILES]))
    patience = LINUX_TIMEOUT[emulated[0]]
    machine.boot()
    for name in ("lazy", "manager"):
        assert_good(machine, name, patience)
    machine.wait_output("linux", "^linux: ready$", patience)
    machine.wait_beats("linux", 1, patience)
    machine.shell("slot linux flags 1 log")
    machine.wait_beats("linux", 2, patience)
    assert machine.shell_json("dirty linux 1")["dirty"] > 0
    assert machine.shell_json("mmu stat linux")["splits"] > 0
    machine.shell("slot linux flags 1 nolog")
    machine.wait_beats("linux", 2, patience)
    assert machine.shell_json("mmu audit linux")["violations"] == 0


def test_the_operator_resolves(emulated, image, start):
    """Parked vCPUs are shown, wait, and go on as the prompt says."""
    text = manifest(calls("absent", "lazy", absent="16M..17M"), calls("denied", "denied"),
                    calls("refused", "denied"), pulse())
    machine = start(emulated, image(text, [CALLS, PULSE_FILE]))
    machine.boot()
    for name in ("absent", "denied", "refused"):
        machine.wait_state(name, "fault")
    faults = {fault["name"]: fault for fault in machine.shell_json("fault list")}
    assert faults["absent"]["gpa"] == "0x1000000" and faults["absent"]["access"] == "r--"
    assert faults["absent"]["length"] == 8 and faults["absent"]["reason"] == "absent"
    assert faults["denied"]["gpa"] == "0x800010" and faults["denied"]["access"] == "-w-"
    assert faults["denied"]["length"] == 4 and faults["denied"]["reason"] == "denied"
    assert all(fault["missed"] == 0 and fault["again"] == 0 for fault in faults.values())
    # Nothing was done about it: the same again.
    machine.shell("fault resolve denied 0 retry")
    machine.wait_state("denied", "fault")
    assert "there already" in machine.shell("fault resolve denied 0 zero")
    machine.shell("view denied 0 0")
    machine.shell("fault resolve denied 0 retry")
    assert_good(machine, "denied")
    machine.shell("fault resolve refused 0 inject")
    machine.wait_output("refused", "unexpected vector 13")
    machine.shell("fault resolve absent 0 zero")
    machine.wait_state("absent", "fault")
    assert machine.shell_json("fault list")[0]["number"] == 2
    machine.shell("fault resolve absent 0 kill")
    machine.wait_state("absent", "crashed")
    assert "not parked" in machine.shell("fault resolve absent 0 retry")
    machine.wait_beats("pulse", 1)


def test_slots_under_a_running_guest(emulated, image, start):
    """A log is kept, a slot moves and goes away, while the guest uses it."""
    text = manifest(pulse("witness"), pulse("moved"), pulse("deleted"))
    machine = start(emulated, image(text, [PULSE_FILE]))
    machine.boot()
    for name in ("witness", "moved", "deleted"):
        machine.wait_beats(name, 1)
    machine.shell("slot witness flags 1 log")
    machine.wait_beats("witness", 1)
    assert 0 < machine.shell_json("dirty witness 1")["dirty"] < 3904
    assert "overlaps" in machine.shell("slot witness move 0 0xc0000")
    assert "multiple" in machine.shell("slot witness move 0 0x1")
    machine.shell("slot witness flags 1 nolog")
    assert "no dirty log" in machine.shell("dirty witness 1")
    machine.shell("slot moved move 1 0x40000000")
    machine.shell("slot deleted delete 1")
    for name in ("moved", "deleted"):  # its own tables are not where it has them
        machine.wait_state(name, "crashed")
        assert machine.shell_json(f"mmu audit {name}")["violations"] == 0
    assert [slot["gpa"] for slot in machine.shell_json("slot moved list")] == ["0x0", "0x40000000"]
    machine.wait_beats("witness", 2)
    assert machine.shell_json("mmu audit witness")["violations"] == 0


def pool_of(machine, name):
    """Pages of its pool: those used, all, the most that ever were used."""
    said = machine.shell(f"show {name}")
    match = re.search(r"pool +(\d+) of (\d+) pages used, peak (\d+)", said)
    return tuple(int(number) for number in match.groups())


def beats_and_time(machine, name):
    """The number of its last beat, and the machine's time in seconds when that was asked."""
    uptime = machine.shell_json("machine")["uptime_us"]
    numbers = re.findall(r"beat (\d+) checksum ok$", machine.output(name, 128), re.MULTILINE)
    return int(numbers[-1]), uptime / 1e6


def test_a_guest_that_wants_more_than_its_pool(emulated, image, start):
    """
    Every page in every view, each next one in another table: it wants 231 tables, and twice as
    much for the reverse map, of a pool of 256 pages. It is slow, all it finds is right, and
    the neighbour's ten beats a second come.
    """
    text = manifest(calls("greedy", "exhaust", memory="48M", mmu_pool="1M"),
                    pulse(cmdline="every=1"))
    machine = start(emulated, image(text, [CALLS, PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse", 1)
    first = beats_and_time(machine, "pulse")
    while machine.shell_json("mmu stat greedy")["reclaimed"] < 1000:
        assert machine.states()["greedy"] == "running"
    assert machine.shell_json("mmu audit greedy")["violations"] == 0
    used, size, _ = pool_of(machine, "greedy")
    assert size == 256 and used > size - 16
    assert_good(machine, "greedy")
    last = beats_and_time(machine, "pulse")
    assert last[0] - first[0] >= 9 * (last[1] - first[1]), f"{first} {last}"
    assert "WRONG" not in machine.output("pulse")
    used, size, peak = pool_of(machine, "greedy")
    assert used < peak == size  # what it wanted is there again
    stat = machine.shell_json("mmu stat greedy")
    # 23 tables x 8 views x 512 pages; nearly each touch is at the cost of another table.
    assert stat["fixed_4k"] > 23 * 8 * 512 and stat["reclaimed"] > 23 * 8 * 512 * 3 / 4
    assert machine.states() == {"greedy": "off", "pulse": "running"}
