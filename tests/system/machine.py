# SPDX-License-Identifier: BSD-2-Clause
"""A Bulkhead machine in an emulator, driven through its console as a person would.

    with Machine("qemu", "max", iso, log="build/system/x.log") as machine:
        machine.boot()
        print(machine.shell("ps"))
        assert machine.power_off() == 0
"""

import json
import os
import re
import socket
import tempfile
import time

import pexpect

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PROMPT = "bulkhead> "
DETACH = "\x1d"  # Ctrl-]
KILL = "\x01x"  # scripts/run: Ctrl-A x

# Seconds, on a noisy machine of two cores; Bochs runs some five times slower than QEMU.
BOOT_TIMEOUT = {"qemu": 60, "bochs": 180}
REPLY_TIMEOUT = {"qemu": 20, "bochs": 60}
LINUX_TIMEOUT = {"qemu": 240, "bochs": 600}

# A line of pulse and of the Linux guest's heartbeat.
BEAT = re.compile(r"beat (\d+) checksum ok$", re.MULTILINE)

# GRUB and shells move the cursor about; nothing of that matters to a test.
ERASED = re.compile(r"[^\n]*\r\x1b\[K")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Transcript:
    """All that the machine has said, kept for said() and, if `path`, in a file."""

    def __init__(self, path):
        self.text = ""
        self.file = open(path, "w", encoding="utf-8", errors="replace",
                         newline="") if path else None

    def write(self, text):
        self.text += text
        if self.file:
            self.file.write(text)

    def flush(self):
        if self.file:
            self.file.flush()

    def close(self):
        if self.file:
            self.file.close()
            self.file = None


class Machine:
    """One run of scripts/run; `emulator` is "qemu" or "bochs", `cpu` one of its models."""

    def __init__(self, emulator, cpu, iso, *, cpus=1, memory=1024, log=None, arguments=()):
        self.emulator = emulator
        self.cpu = cpu
        self.folder = tempfile.TemporaryDirectory(prefix="bulkhead-test-")
        self.log_path = log
        self.transcript = Transcript(log)
        self.monitor_path = os.path.join(self.folder.name, "monitor.sock")
        command = ["--emulator", emulator, "--cpu", cpu, "--cpus", str(cpus),
                   "--memory", str(memory), *arguments]
        if log:
            command += ["--emulator-log", log[:-4] + ".emulator.log"]
        if emulator == "qemu":
            command += ["--qemu-arg=-monitor",
                        f"--qemu-arg=unix:{self.monitor_path},server=on,wait=off"]
        self.process = pexpect.spawn(
            os.path.join(ROOT, "scripts", "run"), [*command, iso], encoding="utf-8",
            codec_errors="replace", echo=False, timeout=REPLY_TIMEOUT[emulator],
            maxread=65536, searchwindowsize=None, logfile=None)
        self.process.logfile_read = self.transcript
        self.process.delaybeforesend = None
        self.process.delayafterclose = 0.5

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- the console as text -------------------------------------------------------------

    def expect(self, pattern, timeout=None):
        """Waits for the regular expression; returns its match. Fails with what was there."""
        self.process.expect(pattern, timeout=timeout or REPLY_TIMEOUT[self.emulator])
        return self.process.match

    def expect_text(self, text, timeout=None):
        """As expect(), for exact text; returns what came before it."""
        self.process.expect_exact(text, timeout=timeout or REPLY_TIMEOUT[self.emulator])
        return clean(self.process.before)

    def send(self, text):
        self.process.send(text)

    def boot(self, timeout=None):
        """Waits for the prompt; returns all that was said until then."""
        return self.expect_text(PROMPT, timeout or BOOT_TIMEOUT[self.emulator])

    def shell(self, command, timeout=None):
        """
        Types a command at the prompt; returns its output, without echo and prompt. Messages
        may come at any time: the shell then writes prompt and typed text anew below them.
        What was said before is dropped: it stays in the transcript, for said().
        """
        self.read_what_is_there("")
        self.process.buffer = ""
        self.send(command)
        self.expect_text(command, timeout)
        self.send("\r")
        output = self.expect_text(PROMPT, timeout)
        while self.follows(command):
            output = self.expect_text(PROMPT, timeout)
        return output.partition("\n")[2]

    def read_what_is_there(self, wanted, quiet=0.1):
        """Reads until nothing comes for `quiet` seconds or `wanted` is decided."""
        while True:
            have = clean(self.process.buffer)
            if wanted and (len(have) >= len(wanted) or not wanted.startswith(have)):
                return
            try:
                self.process.buffer += self.process.read_nonblocking(65536, timeout=quiet)
            except pexpect.TIMEOUT:
                return

    def follows(self, text):
        """True when the text that comes next, without waiting for it, is `text`."""
        self.read_what_is_there(text)
        return clean(self.process.buffer).startswith(text)

    def said(self, pattern, timeout=None, since=0):
        """
        Waits until the regular expression is found in all that was said after the first
        `since` characters (see mark()); returns the match.
        """
        deadline = time.monotonic() + (timeout or REPLY_TIMEOUT[self.emulator])
        while True:
            match = re.search(pattern, clean(self.transcript.text[since:]), re.MULTILINE)
            if match:
                return match
            assert time.monotonic() < deadline, f"never said: {pattern}"
            try:
                self.process.buffer += self.process.read_nonblocking(65536, timeout=0.2)
            except pexpect.TIMEOUT:
                pass

    def mark(self):
        """A place in the transcript, for said(since=...)."""
        self.read_what_is_there("")
        return len(self.transcript.text)

    def shell_json(self, command, timeout=None):
        """The value that a command says as its one line of JSON (-j is added)."""
        output = self.shell(command + " -j", timeout)
        for line in output.splitlines():
            if line.startswith(("{", "[")):
                return json.loads(line)
        raise AssertionError(f"{command} -j: no line of JSON in {output!r}")

    def states(self):
        """Partition name -> state, as `ps -j` says."""
        answer = self.shell_json("ps")
        rows = answer if isinstance(answer, list) else answer["partitions"]
        return {row["name"]: row["state"] for row in rows}

    def wait_state(self, name, state, timeout=60):
        """Asks `ps` until the partition is in that state."""
        deadline = time.monotonic() + timeout
        while True:
            states = self.states()
            if states.get(name) == state:
                return
            assert time.monotonic() < deadline, f"{name} is {states.get(name)}, not {state}"
            time.sleep(0.5)

    def output(self, name, size=4096):
        """The last bytes that a partition said on its console."""
        return self.shell(f"output {name} {size}")

    def beat(self, name):
        """The number of the last heartbeat; 0 before the first. A wrong checksum fails."""
        output = self.output(name)
        assert "WRONG" not in output, f"{name} found its memory changed: {output}"
        numbers = BEAT.findall(output)
        return int(numbers[-1]) if numbers else 0

    def wait_beats(self, name, more=1, timeout=60):
        """Waits until the heartbeat has gone on by that many beats; returns the last."""
        goal = self.beat(name) + more
        deadline = time.monotonic() + timeout
        while True:
            beat = self.beat(name)
            if beat >= goal:
                return beat
            assert time.monotonic() < deadline, \
                f"{name} stands still at beat {beat}\n{self.state_of(name)}"
            time.sleep(0.2)

    def state_of(self, name):
        """For messages: what the hypervisor knows about a partition that does not go on."""
        return "".join(self.shell(f"{command} {name}") for command in ("show", "regs", "trace"))

    def wait_output(self, name, pattern, timeout=60):
        """Waits until a partition has said what matches; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            output = self.output(name, 32768)
            assert not output.startswith("error: "), output
            match = re.search(pattern, output, re.MULTILINE)
            if match:
                return match
            assert time.monotonic() < deadline, \
                f"{name} never said {pattern}: {output[-2000:]}\n{self.state_of(name)}"
            time.sleep(0.5)

    def attach(self, name):
        self.send(f"console {name}\r")
        self.expect_text(f"[attached to {name}, Ctrl-] detaches]")

    def detach(self):
        self.send(DETACH)
        return self.expect_text(PROMPT)

    def linux(self, command, timeout=None):
        """Types a command into an attached Linux guest; returns its output."""
        self.send(command + "\r")
        # Line editing puts a second return after the echo.
        self.expect_text(command)
        return self.expect_text("linux# ", timeout or 2 * REPLY_TIMEOUT[self.emulator]).lstrip("\n")

    # --- the machine ---------------------------------------------------------------------

    def monitor(self, command):
        """QEMU's own view: the output of a command of its monitor."""
        assert self.emulator == "qemu", "Bochs has no monitor"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(self.monitor_path)
            read_until(connection, b"(qemu) ")
            connection.sendall(command.encode() + b"\n")
            output = read_until(connection, b"(qemu) ")
        return clean(output.decode(errors="replace")).partition("\n")[2].rpartition("\n")[0]

    def power_off(self, status=None, timeout=None):
        """Types `poweroff`; returns the machine's exit status."""
        self.send("poweroff" + ("" if status is None else f" {status}") + "\r")
        return self.wait_end(timeout)

    def wait_end(self, timeout=None):
        """Waits until the emulator ends by itself; returns the exit status of scripts/run."""
        self.process.expect(pexpect.EOF, timeout=timeout or BOOT_TIMEOUT[self.emulator])
        self.process.close()
        return self.process.exitstatus

    def close(self):
        """Ends it, however it stands; returns its exit status. May be called again."""
        if self.process.isalive():
            try:
                self.send(KILL)
                self.process.expect(pexpect.EOF, timeout=10)
            except (OSError, pexpect.ExceptionPexpect):
                pass
        self.process.close(force=True)
        self.transcript.close()
        self.folder.cleanup()
        return self.process.exitstatus

    def log_tail(self, lines=40):
        return "\n".join(clean(self.transcript.text).splitlines()[-lines:])


def clean(text):
    """Text as a person sees it: without erased lines and escape sequences, plain newlines."""
    return ESCAPE.sub("", ERASED.sub("", text)).replace("\r", "")


def read_until(connection, mark):
    data = b""
    while not data.endswith(mark):
        piece = connection.recv(65536)
        assert piece, f"QEMU's monitor hung up after {data[-200:]!r}"
        data += piece
    return data
