# SPDX-License-Identifier: BSD-2-Clause
"""The operator's shell: every command, every wrong word, and lives without end."""

import re

import pytest
from machine import PROMPT
from manifests import PULSE_FILE, guest, manifest, pulse, section

PAIR = manifest(pulse(cmdline="every=2"), pulse("other", start="no"))

# Commands with -j, and the keys that a reader counts on (of the first element of a list).
JSON = {
    "ps": {"name", "state", "vcpus", "memory", "exits", "cpu_us"},
    "show pulse": {"name", "state", "kernel", "cmdline", "memory", "starts", "fingerprint_count"},
    "show other": {"name", "state"},
    "regs pulse": {"rax", "r15", "rip", "rflags", "cr0", "cr3", "cr4", "efer", "cs", "gdtr"},
    "mem pulse 0x100000 64": {"gpa", "data"},
    "exits pulse": {"total"},
    "trace pulse": {"number", "tsc", "kind", "rip", "reason", "info"},
    "mmu stat pulse": {"faults", "fixed_4k", "tables", "rmap_entries"},
    "mmu slots pulse": {"id", "gfn", "pages", "pfn", "read_only"},
    "mmu audit pulse": {"violations", "tables", "leaves", "rmap_entries", "findings"},
    "mmu walk 0x100000 pulse": {"level", "sptep", "spte", "kind", "breaks"},
    "mmu walk pulse 0x100000": {"level", "spte"},
    "mmu rmap 0x100 pulse": {"level", "sptep", "spte"},
    "machine": {"virtualisation", "uptime_us", "tsc_hz", "frames_total", "frames_free"},
}

# What is wrong, and what the one line must name.
WRONG = {
    "fly": "unknown command \"fly\"",
    "show": "expected: show NAME",
    "show pulse other": "expected: show NAME",
    "show nobody": "no partition \"nobody\"; there are: pulse, other",
    "regs other": "start it first",
    "console nobody": "no partition",
    "mem pulse": "expected: mem NAME GPA LEN",
    "mem pulse here 16": "\"here\" is no guest-physical address: expected a number",
    "mem pulse 0 0": "expected 1 to 4096 bytes",
    "mem pulse 0 5000": "expected 1 to 4096 bytes",
    "mem pulse 0xfffffffffffffff0 32": "not all of it is memory of pulse",
    "mem pulse 0xa0000 1": "not all of it is memory of pulse",
    "mem pulse -1 1": "expected a number",
    "mem pulse 18446744073709551616 1": "expected a number",
    "mmu": "expected: mmu ",
    "mmu fold pulse": "expected stat, slots, audit, walk or rmap",
    "mmu walk pulse": "expected: mmu walk GPA NAME",
    "mmu walk zero pulse": "expected a number",
    "mmu rmap 1 nobody": "no partition",
    "inject pulse": "expected: inject NAME KIND [GFN]",
    "trace pulse many": "expected a number",
    "output pulse many": "expected a number",
    "log many": "expected a number",
    "start pulse": "pulse is running: stop it first, or use restart",
    "stop other": "other is stopped, expected running or paused",
    "pause other": "other is stopped, expected running",
    "resume pulse": "pulse is running, expected paused",
    "poweroff 128": "expected 0 to 127",
    "poweroff soon": "expected a number",
    "help fly": "unknown command \"fly\"",
    "a b c d e f g h i j k l": "error: ",
}


def first(value):
    return value[0] if isinstance(value, list) else value


def test_every_answer_in_json_is_one_line_of_it(emulated, image, start):
    machine = start(emulated, image(PAIR, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    for command, keys in JSON.items():
        value = machine.shell_json(command)
        assert keys <= set(first(value)), (command, value)
        output = machine.shell(f"{command} -j")
        assert output.count("\n") == 1, (command, output)
        text = machine.shell(command)
        assert text and "error" not in text, (command, text)
    for command in ("show nobody", "mem pulse x 1", "mmu walk zero pulse"):
        assert set(machine.shell_json(command)) == {"error"}


def test_help_names_every_command(image, start):
    machine = start(("qemu", "max"), image(PAIR, [PULSE_FILE]))
    machine.boot()
    text = machine.shell("help")
    for name in ("help", "ps", "show", "console", "output", "start", "stop", "pause", "resume",
                 "restart", "destroy", "regs", "mem", "exits", "trace", "mmu", "inject",
                 "machine", "log", "reboot", "poweroff"):
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name
        assert machine.shell(f"help {name}").startswith(f"  {name} ")
    assert "Ctrl-]" in text


def test_wrong_words_are_one_line_that_says_what_was_expected(emulated, image, start):
    machine = start(emulated, image(PAIR, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    for command, expected in WRONG.items():
        output = machine.shell(command)
        assert output.startswith("error: ") and expected in output, (command, output)
        assert output.count("\n") == 1, (command, output)
    assert machine.shell("log -j") == '{"error":"log does not take -j"}\n'
    machine.send("   \r")
    assert machine.expect_text(PROMPT) == "   \n"
    assert machine.states() == {"pulse": "running", "other": "stopped"}


def test_log_begins_at_the_first_line_and_can_be_cut(image, start):
    machine = start(("qemu", "max"), image(PAIR, [PULSE_FILE]))
    machine.boot()
    everything = machine.shell("log")
    assert re.match(r"\[ +0\.000000\] bulkhead: started\n", everything)
    lines = everything.splitlines()
    assert machine.shell("log 2").splitlines() == lines[-2:]


def test_line_editing(image, start):
    machine = start(("qemu", "max"), image(PAIR, [PULSE_FILE]))
    machine.boot()
    for keys, expected in (("hexp\x7f\x7flp ps\r", "  ps "), ("rubbish\x15help log\r", "  log "),
                           ("rubbish\x03help mem\r", "  mem ")):
        machine.send(keys)
        machine.expect_text(expected)
    machine.shell("help exits")
    # The arrow up recalls; a CR with an LF is one key.
    machine.send("\x1b[A\r\n")
    machine.expect_text("help exits")
    machine.expect_text("  exits ")
    # A line longer than there is room for is cut, and does no harm.
    machine.send("x" * 2000 + "\r")
    machine.expect_text("error: unknown command")
    assert machine.states()["pulse"] == "running"


def test_pause_holds_and_resume_goes_on(emulated, image, start):
    machine = start(emulated, image(PAIR, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    for _ in range(3):
        machine.shell("pause pulse")
        assert machine.states()["pulse"] == "paused"
        before = machine.shell_json("exits pulse")["total"]
        beat = machine.beat("pulse")
        for _ in range(4):
            machine.shell("machine")
        assert machine.shell_json("exits pulse")["total"] == before
        assert machine.beat("pulse") == beat
        assert "start" in machine.shell("start pulse")
        machine.shell("resume pulse")
        machine.wait_beats("pulse")
    # Stopped: memory stays to be looked at; start boots it afresh.
    machine.shell("stop pulse")
    assert machine.states()["pulse"] == "stopped"
    assert machine.shell_json("mem pulse 0x100000 16")["data"]
    assert "rip" in machine.shell_json("regs pulse")
    machine.shell("start pulse")
    machine.wait_beats("pulse")
    assert machine.shell_json("show pulse")["starts"] == 2


def test_create_and_destroy_leak_no_frame(emulated, image, start):
    machine = start(emulated, image(PAIR, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    before = machine.shell_json("machine")
    for round_number in range(20):
        machine.shell("start other")
        during = machine.shell_json("machine")["frames_free"]
        assert during <= before["frames_free"] - 16 * 256
        # Ended in every state in turn.
        if round_number % 4 == 1:
            machine.shell("pause other")
        elif round_number % 4 == 2:
            machine.shell("stop other")
        elif round_number % 4 == 3:
            machine.wait_output("other", "memory")
            machine.shell("inject other count-off")
        machine.shell("destroy other")
        assert machine.states()["other"] == "stopped"
        after = machine.shell_json("machine")
        assert after["frames_free"] == before["frames_free"], round_number
        assert after["largest_free_run"] == before["largest_free_run"], round_number
    assert machine.shell_json("show other")["starts"] == 20
    assert "start it first" in machine.shell("regs other")
    machine.wait_beats("pulse")


def slot_frames(machine, name):
    return [slot["pfn"] for slot in machine.shell_json(f"mmu slots {name}")]


def test_memory_of_the_one_before_is_not_seen_by_the_next(image, start):
    """`blank` gets the frames that `other` left full of its pattern, and touches none."""
    blank = section("blank", kernel="halt.bin", format="raw", load="0x7c00", memory="16M",
                    start="no")
    machine = start(("qemu", "max"),
                    image(PAIR + blank, [PULSE_FILE, ("halt.bin", b"\xf4\xeb\xfd")]))
    machine.boot()
    machine.shell("start other")
    machine.wait_beats("other")
    addresses = range(0x200000, 0x1000000, 0x180000)
    for address in addresses:
        assert int(machine.shell_json(f"mem other {address:#x} 256")["data"], 16) != 0
    frames = slot_frames(machine, "other")
    machine.shell("destroy other")
    machine.shell("start blank")
    assert slot_frames(machine, "blank") == frames
    for address in addresses:
        assert int(machine.shell_json(f"mem blank {address:#x} 256")["data"], 16) == 0
    assert machine.shell_json("mem blank 0x7c00 4")["data"] == "f4ebfd00"


def test_console_shows_what_was_said_and_detaches(emulated, image, start):
    machine = start(emulated, image(PAIR, [PULSE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    machine.attach("pulse")
    # What it said before anybody looked, then what it says now.
    machine.expect_text("pulse: memory ")
    machine.expect_text("checksum ok")
    machine.send("?")
    machine.expect(r"pulse: status beat \d+ passes \d+ ")
    machine.detach()
    assert machine.states()["pulse"] == "running"
    # An ended partition can be attached to and left again.
    machine.shell("stop pulse")
    machine.attach("pulse")
    machine.send("lost keys")
    machine.detach()
    assert machine.power_off(5) == 5


@pytest.mark.only("qemu")
def test_exit_status_of_a_guest_is_kept(emulated, image, start):
    machine = start(emulated, image(
        manifest(guest("good", "pulse.elf", "beats=2", debug_exit="yes"),
                 guest("deaf", "pulse.elf", "beats=2")), [PULSE_FILE]))
    machine.boot()
    machine.wait_state("good", "off")
    assert machine.shell_json("show good")["exit_status"] == 0
    # Without debug-exit the port is nobody's.
    machine.wait_output("deaf", "done after 2 beats")
    assert machine.states()["deaf"] == "running"
    assert machine.shell_json("show deaf")["ports_unclaimed_writes"] > 0
