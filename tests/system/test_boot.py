# SPDX-License-Identifier: BSD-2-Clause
"""From the boot loader to the prompt, and what is said when there is nothing to run."""

import re

PULSE = """bulkhead = 1
[partition "pulse"]
kernel = pulse.elf
memory = 16M
"""


def test_boots_to_the_prompt_and_powers_off(emulated, image, start):
    machine = start(emulated, image(PULSE, ["guests/pulse.elf"]))
    said = machine.boot()
    assert "panic" not in said
    assert ("VMX" if emulated[0] == "bochs" else "SVM") in said
    assert "help" in machine.shell("help")
    assert machine.power_off(5) == 5


def test_power_off_without_a_status_is_0(emulated, image, start):
    machine = start(emulated, image(PULSE, ["guests/pulse.elf"]))
    machine.boot()
    assert machine.power_off() == 0


def test_reboot_comes_back(emulated, image, start):
    machine = start(emulated, image(PULSE, ["guests/pulse.elf"]))
    machine.boot()
    machine.send("reboot\r")
    machine.expect_text("machine: reboot")
    machine.boot()
    assert machine.power_off() == 0


def test_no_manifest_is_said(emulated, image, start):
    machine = start(emulated, image(None))
    assert "bulkhead.conf" in machine.boot()
    assert machine.power_off() == 0


def test_broken_manifest_names_line_and_key(emulated, image, start):
    machine = start(emulated, image(PULSE + "colour = blue\n", ["guests/pulse.elf"]))
    assert re.search(r"bulkhead\.conf:5: colour: ", machine.boot())


def test_missing_module_is_said_and_others_start(emulated, image, start):
    manifest = PULSE + '[partition "lost"]\nkernel = nowhere.elf\nmemory = 16M\n'
    machine = start(emulated, image(manifest, ["guests/pulse.elf"], missing_ok=True))
    assert "nowhere.elf" in machine.boot()
    states = machine.states()
    assert states["pulse"] == "running"
    assert states["lost"] != "running"


def test_bad_console_option_is_said(emulated, image, start):
    machine = start(emulated, image(PULSE, ["guests/pulse.elf"], cmdline="console=com9"))
    assert "console=com9" in machine.boot()


def test_no_mapping_is_writable_and_executable(image, start):
    """
    By QEMU's own walk of the page tables: `info tlb` prints VIRTUAL: PHYSICAL FLAGS, with
    X for no-execute and W for writable.
    """
    machine = start(("qemu", "max"), image(PULSE, ["guests/pulse.elf"]))
    machine.boot()
    # The guest may be what the CPU runs at this instant: when it is paused, it cannot be.
    machine.shell("pause pulse")
    mappings = re.findall(r"^[0-9a-f]{16}: [0-9a-f]{16} [A-Z-]{9}$", machine.monitor("info tlb"),
                          re.MULTILINE)
    executable = [line for line in mappings if "X" not in line[-9:]]
    writable = [line for line in mappings if "W" in line[-9:]]
    assert executable and writable, "QEMU saw no page tables of ours"
    assert not set(executable) & set(writable)
