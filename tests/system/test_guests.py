# SPDX-License-Identifier: BSD-2-Clause
"""The small guests that look at their machine from inside, and every way to load a guest."""

import re

from manifests import guest, manifest, section

EXTRA = b"extra module\n" * 1000
SECOND = bytes(range(256)) * 9

# QEMU TCG leaves out these checks, which a CPU makes before an intercept can matter: WRMSR to
# a passed-through LSTAR wants a canonical address; MOV to CR0 refuses bits above 31.
TCG_LACKS = {"msr-not-canonical fail 0xc0000082: vector -1", "cr0 fail bit 32: vector -1, not 13"}


def finished(machine, name, timeout):
    """Waits for the end; returns what the guest said. Its exit status must be 0."""
    machine.wait_state(name, "off", timeout)
    output = machine.output(name, 32768)
    shown = machine.shell_json(f"show {name}")
    assert shown.get("exit_status") == 0, output
    return output


def test_behave_finds_nothing_wrong(emulated, image, start):
    machine = start(emulated, image(
        manifest(guest("behave", "behave.elf", debug_exit="yes")), ["guests/behave.elf"]))
    machine.boot()
    machine.said(r"^\[ *[\d.]+\] behave: (off|crashed|bugged)", 300)
    output = machine.output("behave", 32768)
    lines = re.findall(r"^behave: (\S+) (pass|fail|skip)\b(.*)$", output, re.MULTILINE)
    failed = {"%s %s%s" % line for line in lines if line[1] == "fail"}
    known = failed & TCG_LACKS if emulated[0] == "qemu" else set()
    assert failed == known, "\n".join(failed)
    summary = re.search(r"^behave: (\d+) passed, (\d+) failed$", output, re.MULTILINE)
    assert summary, output[-3000:]
    assert int(summary.group(1)) == len([1 for line in lines if line[1] == "pass"]) > 90
    assert int(summary.group(2)) == len(known)
    assert machine.shell_json("show behave")["exit_status"] == (1 if known else 0)


def test_a_raw_guest_walks_through_the_modes(emulated, image, start):
    machine = start(emulated, image(
        manifest(section("modes", kernel="modes.bin", format="raw", load="0x7c00", memory="8M",
                         debug_exit="yes")), ["guests/modes.bin"]))
    machine.boot()
    output = finished(machine, "modes", 120)
    assert "fail" not in output.lower().replace("0 failed", ""), output
    assert re.search(r"^modes: \d+ passed, 0 failed$", output, re.MULTILINE), output


def checksum(data):
    return f"sum={sum(data) & 0xffffffff:#x}"


def test_every_loader_hands_over_everything(emulated, image, start):
    names = {"mb1": "multiboot1", "mb1-64": "multiboot1", "pvh": "pvh"}
    sections = [guest(name, f"{name}.elf", f"first {name}", debug_exit="yes",
                      module="extra.bin one two") + "module = second.bin\n" for name in names]
    machine = start(emulated, image(manifest(*sections),
                                    [*(f"guests/{name}.elf" for name in names),
                                     ("extra.bin", EXTRA), ("second.bin", SECOND)]))
    machine.boot()
    for name, protocol in names.items():
        output = finished(machine, name, 120)
        assert f"loader: protocol {protocol}\n" in output
        assert re.search(rf'^loader: cmdline "(\S*{name}\.elf )?first {name}"$', output,
                         re.MULTILINE), output
        assert "loader: modules 2\n" in output
        modules = re.findall(r'^loader: module (\d) name="(.*)" size=(\d+) (sum=\S+) ', output,
                             re.MULTILINE)
        assert modules[0] == ("0", modules[0][1], str(len(EXTRA)), checksum(EXTRA)), output
        assert modules[0][1].endswith("one two")
        assert modules[1] == ("1", modules[1][1], str(len(SECOND)), checksum(SECOND)), output
        # Usable memory up to 16 MiB, and nothing usable in the hole of the PC.
        usable = [(int(low, 16), int(high, 16)) for low, high in
                  re.findall(r"^loader: memory \d+ (0x[0-9a-f]+)-(0x[0-9a-f]+) type=1$", output,
                             re.MULTILINE)]
        assert max(high for _, high in usable) == 16 << 20, output
        assert all(high <= 0xa0000 or low >= 0x100000 for low, high in usable), output
        assert "loader: rsdp found\n" in output
        assert "loader: done\n" in output
