# SPDX-License-Identifier: BSD-2-Clause
"""From the boot loader to the prompt, and what is said when there is nothing to run."""

import re

import pytest

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


# --- machines that cannot run a partition ---------------------------------------------------


def check_shell_without_partitions(machine, reason):
    """The machine comes up all the same, and says why nothing runs on it."""
    said = machine.boot()
    assert re.search(rf"virt: no partition can run: .*{reason}", said), said
    assert "panic" not in said
    assert machine.states() == {"pulse": "stopped"}
    assert "no virtualisation" in machine.shell("start pulse")
    for command in ("regs pulse", "mem pulse 0 16", "mmu stat pulse", "console pulse",
                    "inject pulse count-off"):
        assert "start it first" in machine.shell(command)
    assert machine.shell_json("machine")["frames_free"] > 0
    assert machine.power_off(3) == 3


@pytest.mark.parametrize("pair", (("qemu", "qemu64,-svm"), ("qemu", "max,-svm"),
                                  ("bochs", "athlon64_clawhammer")), ids=" ".join)
def test_cpu_without_vmx_and_svm(image, start, pair):
    machine = start(pair, image(PULSE, ["guests/pulse.elf"]))
    check_shell_without_partitions(machine, "neither VMX nor SVM")


def test_svm_without_nested_paging(image, start):
    machine = start(("qemu", "max,-npt"), image(PULSE, ["guests/pulse.elf"]))
    check_shell_without_partitions(machine, "nested paging")


@pytest.mark.parametrize("pair", (("qemu", "qemu32"), ("bochs", "p4_willamette")), ids=" ".join)
def test_cpu_without_long_mode(image, start, pair):
    machine = start(pair, image(PULSE, ["guests/pulse.elf"]))
    machine.expect_text("bulkhead: this CPU cannot run it: no long mode", 60)
    assert machine.close() == 204


def test_firmware_that_leaves_vmx_unlocked(image, start):
    """BIOS-bochs-legacy writes no IA32_FEATURE_CONTROL: Bulkhead turns VMX on and locks it."""
    machine = start(("bochs", "corei7_skylake_x"), image(PULSE, ["guests/pulse.elf"]),
                    arguments=["--bios", "BIOS-bochs-legacy"])
    machine.boot()
    machine.wait_beats("pulse")
    assert machine.power_off() == 0


def test_firmware_that_locked_vmx_out(image, start):
    """As a firmware would, GRUB locks IA32_FEATURE_CONTROL (0x3a) without VMX."""
    iso = image(PULSE, ["guests/pulse.elf"], grub=["insmod wrmsr", "wrmsr 0x3a 1"])
    machine = start(("bochs", "corei7_skylake_x"), iso, arguments=["--bios", "BIOS-bochs-legacy"])
    check_shell_without_partitions(machine, "firmware")
