# SPDX-License-Identifier: BSD-2-Clause
"""Two minutes of attack from inside: whatever ends, it is only the attacker."""

import time

from manifests import PULSE_FILE, guest, manifest, pulse

SECONDS = 120
HOSTILE_FILE = "guests/hostile.elf"

# One after the other until the time is up; the last ones are there only to die at once.
SEEDS = range(1, 11)
FATAL_SEEDS = range(1, 4)


def attackers():
    names = [f"seed{seed}" for seed in SEEDS]
    fatal = [f"fatal{seed}" for seed in FATAL_SEEDS]
    sections = [guest(name, "hostile.elf", f"seed={seed} seconds=600", start="no")
                for name, seed in zip(names, SEEDS)]
    sections += [guest(name, "hostile.elf", f"seed={seed} seconds=600 mode=fatal", start="no")
                 for name, seed in zip(fatal, FATAL_SEEDS)]
    return names, fatal, sections


def test_only_the_hostile_guest_ends(emulated, image, start):
    names, fatal, sections = attackers()
    machine = start(emulated, image(manifest(pulse(cmdline="every=2"), *sections),
                                    [PULSE_FILE, HOSTILE_FILE]))
    machine.boot()
    machine.wait_beats("pulse")
    waiting = [*fatal, *names]
    active, ended = [], {}
    end = time.monotonic() + SECONDS
    last_beat = machine.beat("pulse")
    while time.monotonic() < end:
        states = machine.states()
        assert states["pulse"] == "running", states
        for name in [name for name in active if states[name] != "running"]:
            active.remove(name)
            ended[name] = states[name]
        while len(active) < 2:
            # All had their turn: the same seeds meet another moment.
            name = waiting.pop(0) if waiting else names[len(ended) % len(names)]
            if name in active:
                break
            machine.shell(f"restart {name}")
            active.append(name)
        beat = machine.wait_beats("pulse", timeout=120)
        assert beat > last_beat
        last_beat = beat
        assert machine.shell_json(f"show {active[0]}")["name"] == active[0]
        time.sleep(0.5)
    # Its own ends, never a rule of the hypervisor broken by what a guest does.
    assert set(ended.values()) <= {"off", "crashed"}, ended
    assert not set(machine.states().values()) & {"bugged"}, machine.states()
    attacks = sum(row["exits"] for row in machine.shell_json("ps") if row["name"] != "pulse")
    assert attacks > 10000
    for name in ended:
        machine.shell(f"destroy {name}")
    machine.wait_beats("pulse")
    assert machine.power_off() == 0
