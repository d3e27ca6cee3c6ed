#!/usr/bin/env python3
"""Runs a command on a real terminal and talks to it.

terminal.py ROWS COLUMNS [wait:REGEX | send:TEXT | key:CHARACTER]... -- COMMAND...

`wait` reads until the output since the last wait matches (10 s at most, then the command is killed and
the status is 125), `send` types a line, `key` types control-CHARACTER. What the command wrote goes to
standard output, its exit status is ours.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 10.0


def read_some(master, deadline):
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([master], [], [], left)[0]:
        return None
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: the other end is closed
        return b""


def main():
    rows, columns = int(sys.argv[1]), int(sys.argv[2])
    split = sys.argv.index("--")
    steps, command = sys.argv[3:split], sys.argv[split + 1 :]
    pid, master = pty.fork()
    if pid == 0:
        # The size is set before the command starts: it asks once.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(command[0], command)
    pending = b""

    def pump(deadline):
        nonlocal pending
        data = read_some(master, deadline)
        if data:
            pending += data
            sys.stdout.buffer.write(data.replace(b"\r", b""))
            sys.stdout.buffer.flush()
        return data

    for step in steps:
        kind, _, text = step.partition(":")
        if kind == "send":
            os.write(master, text.encode() + b"\n")
        elif kind == "key":
            os.write(master, bytes([ord(text.upper()) & 0x1F]))
        else:
            deadline = time.monotonic() + LIMIT
            while not re.search(text.encode(), pending):
                if not pump(deadline):
                    print(f"\npty: never saw {text}", file=sys.stderr)
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    return 125
            pending = b""
    deadline = time.monotonic() + LIMIT
    while True:
        data = pump(deadline)
        if data == b"":
            break
        if data is None:
            os.kill(pid, signal.SIGKILL)
            break
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


sys.exit(main())
