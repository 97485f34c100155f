# SPDX-License-Identifier: BSD-2-Clause
"""
One compartment floods, the ship goes on: every kind of damage to one partition's metadata is
found by name, stops that partition alone, leaves it to be looked at, and does not outlive it.
"""

import re
import time

import pytest
from machine import LINUX_TIMEOUT, clean
from manifests import LINUX_FILES, PULSE_FILE, linux, manifest, pulse

# Every kind that `inject` knows, and the rule that it breaks.
RULES = {
    "spte-reserved": "I3",
    "spte-foreign": "I4",
    "rmap-dropped": "I1",
    "rmap-doubled": "I1",
    "rmap-wrong": "I1",
    "count-off": "I5",
    "slot-gone": "I1",
}

HEX = r"0x[0-9a-f]+"


def wait_text(machine, since, pattern, timeout=60):
    """Waits for a line of the log; returns all that was said since the mark."""
    machine.said(pattern, timeout, since)
    machine.mark()
    return clean(machine.transcript.text[since:])


def inject(machine, name, kind):
    """Injects, waits for the report on the console and checks it; returns what it says."""
    since = machine.mark()
    assert "error" not in machine.shell(f"inject {name} {kind}")
    text = wait_text(machine, since, rf"{name}: bugged: ")
    injected = re.search(rf"{name}: injected {kind} at gfn ({HEX})$", text, re.MULTILINE)
    rule = re.search(rf"{name}: BUGGED by rule (\S+): \S", text)
    place = re.search(rf"{name}:   found at \S+:\d+ \w+\(\), CPU 0, vCPU 0, view 0, level (\d)$",
                      text, re.MULTILINE)
    values = re.search(rf"{name}:   gfn ({HEX}) sptep ({HEX}) spte (0x[0-9a-f]{{16}}) rmap head "
                       rf"{HEX}: \S", text)
    walk = re.findall(rf"{name}:   walk level (\d) sptep ({HEX}) spte (0x[0-9a-f]{{16}}) (.*)$",
                      text, re.MULTILINE)
    assert injected and rule and place and values and walk, text
    assert rule.group(1) == RULES[kind], text
    assert [int(step[0]) for step in walk] == list(range(4, 4 - len(walk), -1)), text
    gfn, sptep, spte = (int(value, 16) for value in values.groups())
    return {"kind": kind, "rule": rule.group(1), "level": int(place.group(1)), "gfn": gfn,
            "sptep": sptep, "spte": spte, "walk": walk}


def check_show(machine, name, report):
    """`show` and `show -j` say what the console said."""
    text = machine.shell(f"show {name}")
    assert re.search(r"^state +bugged", text, re.MULTILINE), text
    assert re.search(rf"^bug +rule {report['rule']}: ", text, re.MULTILINE), text
    answer = machine.shell_json(f"show {name}")
    assert answer["state"] == "bugged"
    bug = answer["bug"]
    assert bug["rule"] == report["rule"]
    assert bug["level"] == report["level"]
    for key in ("gfn", "sptep", "spte"):
        assert int(bug[key], 16) == report[key], key


def check_inside(machine, name, report):
    """What can be asked about any partition can be asked about a bugged one."""
    assert re.search(r"^rip +[0-9a-f]{16} ", machine.shell(f"regs {name}"), re.MULTILINE)
    trace = machine.shell_json(f"trace {name} 5")
    assert len(trace) == 5 and all("kind" in row for row in trace)
    walk = machine.shell_json(f"mmu walk {report['gfn'] * 4096:#x} {name}")
    assert [(step["level"], int(step["spte"], 16)) for step in walk] == \
        [(int(level), int(spte, 16)) for level, _, spte, _ in report["walk"]]
    assert isinstance(machine.shell_json(f"mmu rmap {report['gfn']:#x} {name}"), list)
    memory = machine.shell(f"mem {name} {report['gfn'] * 4096:#x} 32")
    if report["kind"] == "slot-gone":
        assert "not all of it is memory" in memory
    else:
        assert re.fullmatch(r"([0-9a-f]{10}[01]0  ([0-9a-f]{2} ){16} .{16}\n){2}", memory), memory
    assert machine.shell_json(f"exits {name}")["total"] > 0
    assert machine.shell_json(f"mmu audit {name}")["violations"] >= 1
    assert "bugged already" in machine.shell(f"inject {name} count-off")


def check_others(machine, names):
    for name in names:
        machine.wait_beats(name)
    states = machine.states()
    assert all(states[name] == "running" for name in names), states


def test_every_kind_of_damage_stops_one_partition_alone(emulated, image, start):
    machine = start(emulated, image(
        manifest(linux("linux"), linux("second", "bulkhead.heartbeat=1"), pulse(cmdline="every=2"),
                 pulse("cell", "every=2 seed=2")), [*LINUX_FILES, PULSE_FILE]))
    machine.boot()
    patience = LINUX_TIMEOUT[emulated[0]]
    for name in ("linux", "second"):
        machine.wait_output(name, "^linux: ready$", patience)
    offered = re.findall(r"^  ([a-z-]+) ", machine.shell("inject cell ?"), re.MULTILINE)
    assert sorted(offered) == sorted(RULES)

    for starts, kind in enumerate(RULES, 1):
        machine.wait_beats("cell")
        report = inject(machine, "cell", kind)
        check_others(machine, ("second", "pulse"))
        check_show(machine, "cell", report)
        check_inside(machine, "cell", report)
        assert machine.shell_json("show cell")["starts"] == starts
        machine.shell("restart cell")
        assert machine.states()["cell"] == "running"
        assert "bug" not in machine.shell_json("show cell")

    # The same to Linux, which is busier with its memory; and it boots again.
    report = inject(machine, "linux", "spte-reserved")
    assert any(step[3].endswith("breaks I3") for step in report["walk"])
    check_others(machine, ("second", "pulse", "cell"))
    check_show(machine, "linux", report)
    check_inside(machine, "linux", report)
    machine.shell("restart linux")
    machine.wait_output("linux", "^linux: ready$", patience)
    machine.attach("linux")
    machine.send("\r")
    machine.expect_text("linux# ")
    assert machine.linux("echo $((6*7))") == "42\n"
    machine.detach()
    report = inject(machine, "linux", "slot-gone")
    check_others(machine, ("second", "pulse", "cell"))
    check_show(machine, "linux", report)
    assert machine.power_off() == 0


@pytest.mark.only("qemu")
def test_damage_at_a_chosen_gfn_and_wrong_ones(emulated, image, start):
    machine = start(emulated, image(manifest(pulse(), pulse("cell")), [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("cell")
    assert "not mapped" in machine.shell("inject cell rmap-dropped 0xfffff")
    assert "expected a number" in machine.shell("inject cell rmap-dropped here")
    assert machine.states() == {"pulse": "running", "cell": "running"}
    since = machine.mark()
    machine.shell("inject cell rmap-dropped 0x100")
    text = wait_text(machine, since, "cell: bugged: ")
    assert re.search(r"cell:   gfn 0x100 ", text)
    check_others(machine, ["pulse"])


def test_restart_after_a_bug_backs_off_and_gives_up(emulated, image, start):
    machine = start(emulated, image(
        manifest(pulse(), pulse("cell", on_bug="restart", max_restarts=2)), [PULSE_FILE]))
    machine.boot()
    for attempt, delay in ((1, 1000), (2, 2000)):
        machine.wait_beats("cell")
        since = machine.mark()
        machine.shell("inject cell rmap-dropped")
        text = wait_text(machine, since, r"cell: running$", 120)
        bugged = re.search(rf"^\[ *([\d.]+)\] cell: restart {attempt} of 2 in {delay} ms$", text,
                           re.MULTILINE)
        again = re.search(r"^\[ *([\d.]+)\] cell: running$", text, re.MULTILINE)
        assert bugged and again, text
        assert float(again.group(1)) - float(bugged.group(1)) >= delay / 1000
        shown = machine.shell_json("show cell")
        assert (shown["state"], shown["starts"], shown["bug_restarts"]) == \
            ("running", attempt + 1, attempt)
        assert shown["fingerprint"].startswith("I1@") and shown["fingerprint_count"] == attempt
    machine.wait_beats("cell")
    since = machine.mark()
    machine.shell("inject cell rmap-dropped")
    wait_text(machine, since, "cell: all 2 restarts after a bug are used up, it stays halted$")
    # Longer than the next delay would be.
    time.sleep(5)
    shown = machine.shell_json("show cell")
    assert shown["state"] == "bugged"
    assert shown["fingerprint"].startswith("I1@") and shown["fingerprint_count"] == 3
    assert re.search(r"^last bug +I1@\S+, 3 times$", machine.shell("show cell"), re.MULTILINE)
    machine.wait_beats("pulse")
    # The operator's own restart is always there.
    machine.shell("restart cell")
    machine.wait_beats("cell")


PANIC = r"bulkhead: panic on CPU 0:\s+data-corruption=machine: partition cell broke rule I1"


@pytest.mark.only("qemu")
@pytest.mark.parametrize("where", ("command line", "manifest"))
def test_data_corruption_may_stop_the_machine(emulated, image, start, where):
    text = manifest(pulse(), pulse("cell"))
    cmdline = ""
    if where == "manifest":
        text = text.replace("= 1\n", "= 1\n[machine]\ndata-corruption = machine\n", 1)
    else:
        cmdline = "data-corruption=machine"
    machine = start(emulated, image(text, [PULSE_FILE], cmdline=cmdline))
    machine.boot()
    machine.wait_beats("cell")
    machine.send("inject cell rmap-dropped\r")
    machine.said(PANIC)
    assert machine.wait_end() == 202


@pytest.mark.only("qemu")
def test_the_command_line_outranks_the_manifest(emulated, image, start):
    text = manifest("[machine]\ndata-corruption = machine\n", pulse(), pulse("cell"))
    machine = start(emulated, image(text, [PULSE_FILE], cmdline="data-corruption=partition"))
    machine.boot()
    machine.wait_beats("cell")
    inject(machine, "cell", "rmap-dropped")
    check_others(machine, ["pulse"])
