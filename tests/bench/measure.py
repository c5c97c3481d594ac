"""Runs shell commands in turn and prints, for each, its best times and its peak memory, and ratios to the first.

    measure.py ROUNDS [--before COMMAND] [--goal WHAT RATIO] NAME=COMMAND NAME=COMMAND ...

Rounds are interleaved (A B C, A B C, ...), so that a busy moment of the machine hits all alike. "wall" is the shortest wall time, "cpu" the least
user + system time, "peak" the largest resident set of any process of the command. `--before` runs before each timed command, untimed. A
command that fails ends everything. Compare cpu first: wall times on a shared machine are noisy. `--goal wall 0.63` says for each command but the
first whether its ratio to the first is that or less, or MISSED.
"""

import os
import sys
import time


def run(command: str) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak KiB of one shell command."""
    start = time.monotonic()
    child = os.posix_spawn(
        "/bin/bash",
        ["bash", "-c", command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                      (os.POSIX_SPAWN_DUP2, 2, 1) if os.environ.get("SHOW") else
                      (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(f"exit code {code}: {command}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main() -> None:
    """Reads the arguments, runs the rounds, prints the table."""
    rounds, *rest = sys.argv[1:]
    before = None
    if rest[:1] == ["--before"]:
        before, rest = rest[1], rest[2:]
    goal = None
    if rest[:1] == ["--goal"]:
        goal, rest = (rest[1], float(rest[2])), rest[3:]
    commands = [argument.split("=", 1) for argument in rest]
    best = {name: [float("inf"), float("inf"), 0] for name, _ in commands}
    for _ in range(int(rounds)):
        for name, command in commands:
            if before:
                run(before)
            wall, cpu, peak = run(command)
            kept = best[name]
            kept[0], kept[1], kept[2] = min(kept[0], wall), min(kept[1], cpu), max(kept[2], peak)
    width = max(len(name) for name in best)
    first = best[commands[0][0]]
    print(f"{'':{width}}  {'wall s':>8} {'cpu s':>8} {'peak MiB':>9} {'wall ratio':>11} {'cpu ratio':>10}")
    for name, (wall, cpu, peak) in best.items():
        ratios = f"{wall / max(first[0], 1e-3):11.2f} {cpu / max(first[1], 1e-3):10.2f}"
        verdict = ""
        if goal and name != commands[0][0]:
            index = 0 if goal[0] == "wall" else 1
            met = (wall, cpu)[index] / max(first[index], 1e-3) <= goal[1] + 0.005
            verdict = f"  goal {goal[0]} {goal[1]:.2f}: {'met' if met else 'MISSED'}"
        print(f"{name:{width}}  {wall:8.2f} {cpu:8.2f} {peak / 1024:9.1f} {ratios}{verdict}")


main()
