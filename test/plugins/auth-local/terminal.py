"""Runs a program on a terminal of its own, types what it is told to, and says how it ended.

usage: terminal.py '[["text to wait for", "text to type"], …]' program arguments…
"""
import fcntl, json, os, pty, select, subprocess, sys, termios, time

steps, argv = json.loads(sys.argv[1]), sys.argv[2:]
deadline = time.monotonic() + 100
master, terminal = pty.openpty()


def take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


child = subprocess.Popen(
    argv, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, preexec_fn=take_terminal
)
seen = ""
try:
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        if select.select([master], [], [], 0.05)[0]:
            text = os.read(master, 65536).decode("utf-8", "replace")
            sys.stdout.write(text)
            seen += text
        elif ended:
            break
        if steps and steps[0][0] in seen:
            wanted, typed = steps.pop(0)
            seen = seen.split(wanted, 1)[1]
            os.write(master, typed.encode())
finally:
    child.kill()
echo = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
print(f"ended {child.wait()}, echo {'on' if echo else 'off'}, {len(steps)} steps left")
