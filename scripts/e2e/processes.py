"""Servers and the agent as child processes that cannot outlive this program, and waiting for what they do."""

import ctypes
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_with_parent(number):
    """This process gets that signal when the one that started it dies."""
    LIBC.prctl(PR_SET_PDEATHSIG, number)


class Failed(Exception):
    """A case whose outcome is not what it must be; the text says what was seen."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(what, seconds, probe, every=0.25, alive=()):
    """The first true value of `probe()`; Failed if there is none in time, or if one of the processes `alive` ends."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        for process in alive:
            check(process.running(), f"{process.name} ended while waiting for {what}; {process.last_words()}")
        check(time.monotonic() < end, f"no {what} within {seconds} s")
        time.sleep(every)


def free_ports(count):
    """That many loopback ports which nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A child process with its output in a file. The kernel kills it when this program dies, in whatever way."""

    everyone = []

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name = name
        self.log = log
        parent = os.getpid()

        def bind_to_parent():
            end_with_parent(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=bind_to_parent,
            )
        Process.everyone.append(self)

    def running(self):
        return self.child.poll() is None

    def stop(self, grace=20):
        """Asks it to end, and makes it end if it does not."""
        if self.running():
            self.child.terminate()
            try:
                self.child.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        if self in Process.everyone:
            Process.everyone.remove(self)

    def kill(self):
        self.child.kill()
        self.child.wait()
        if self in Process.everyone:
            Process.everyone.remove(self)

    def text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def last_words(self, lines=5):
        tail = [line.strip() for line in self.text().splitlines() if line.strip()][-lines:]
        return f"its log ends: {' | '.join(tail)}" if tail else "it said nothing"

    @staticmethod
    def kill_all():
        for each in list(reversed(Process.everyone)):
            each.kill()
