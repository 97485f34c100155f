# SPDX-License-Identifier: BSD-2-Clause
"""Manifests in the making: sections as text, and the files that they need."""

LINUX_FILES = ("linux/vmlinuz", "linux/initramfs.cpio.gz")
PULSE_FILE = "guests/pulse.elf"
LINUX_CMDLINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off"


def manifest(*sections):
    return "bulkhead = 1\n" + "".join(sections)


def section(name, **keys):
    """[partition "name"] with its keys; on_bug stands for on-bug."""
    lines = [f'[partition "{name}"]']
    lines += [f"{key.replace('_', '-')} = {value}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def linux(name, more="", **keys):
    """Debian's kernel with our initramfs; `more` is added to its command line."""
    keys.setdefault("memory", "128M")
    return section(name, kernel="vmlinuz", initrd="initramfs.cpio.gz",
                   cmdline=f"{LINUX_CMDLINE} {more}".rstrip(), **keys)


def pulse(name="pulse", cmdline="", **keys):
    keys.setdefault("memory", "16M")
    return section(name, kernel="pulse.elf", cmdline=cmdline, **keys)


def guest(name, kernel, cmdline="", **keys):
    keys.setdefault("memory", "16M")
    return section(name, kernel=kernel, cmdline=cmdline, **keys)
