#!/usr/bin/env python3
"""Runs commands in a pseudo terminal and writes what is on the screen then as an SVG, for the README.

    terminal_picture.py OUT.svg COLUMNS 'transom build demo.toml' ['transom explain demo.toml' ...]

Each command is shown behind a prompt and run by the shell. Knows what our own output uses: colours, line feeds, carriage returns, erasing, moving up.
"""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import fcntl
import termios
from html import escape

ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]")
PALETTE = {
    30: "#5c6370", 31: "#ff7b72", 32: "#7ee787", 33: "#f2cc60", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea", 37: "#e6edf3",
    90: "#8b949e", 91: "#ffa198", 92: "#aff5b4", 93: "#f8e3a1", 94: "#a5d6ff", 95: "#e2c5ff", 96: "#b3f0ff", 97: "#ffffff",
}
PLAIN = "#e6edf3"
# Blanks at the beginning of an SVG text would be dropped.
NO_BREAK = "\u00a0"


class Screen:
    """Rows of (character, colour, bold, dim)."""

    def __init__(self, columns):
        self.columns, self.rows, self.row, self.column = columns, [[]], 0, 0
        self.colour, self.bold, self.dim = PLAIN, False, False

    def put(self, text):
        position = 0
        while position < len(text):
            match = ESCAPE.match(text, position)
            if match:
                self.control(match)
                position = match.end()
                continue
            character = text[position]
            position += 1
            if character == "\n":
                self.row += 1
                while len(self.rows) <= self.row:
                    self.rows.append([])
            elif character == "\r":
                self.column = 0
            elif character >= " ":
                if self.column >= self.columns:
                    self.put("\r\n")
                row = self.rows[self.row]
                row.extend([(" ", PLAIN, False, False)] * (self.column + 1 - len(row)))
                row[self.column] = (character, self.colour, self.bold, self.dim)
                self.column += 1

    def control(self, match):
        numbers, letter = match.group(1), match.group(2)
        if letter is None or (numbers or "").startswith("?"):
            return
        values = [int(number or 0) for number in numbers.split(";")]
        if letter == "m":
            self.style(values)
        elif letter == "A":
            self.row = max(0, self.row - max(1, values[0]))
        elif letter == "K":
            row = self.rows[self.row]
            if values[0] == 2:
                row.clear()
            else:
                del row[self.column:]
        elif letter == "J":
            del self.rows[self.row][self.column:]
            del self.rows[self.row + 1:]
        elif letter == "G":
            self.column = max(0, values[0] - 1)

    def style(self, values):
        for value in values:
            if value == 0:
                self.colour, self.bold, self.dim = PLAIN, False, False
            elif value == 1:
                self.bold = True
            elif value == 2:
                self.dim = True
            elif value == 22:
                self.bold = self.dim = False
            elif value == 39:
                self.colour = PLAIN
            elif value in PALETTE:
                self.colour = PALETTE[value]


def run(command, screen):
    """Runs a command in a pseudo terminal and shows what it writes."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, screen.columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(screen.columns)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, shell=True, stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True)
    os.close(slave)
    written = b""
    while True:
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            written += piece
        elif process.poll() is not None:
            break
    process.wait()
    os.close(master)
    screen.put(written.decode("utf-8", "replace"))


def svg(screen):
    """The screen as a picture."""
    width, height, left, top = 8.4, 19, 18, 46
    while screen.rows and not any(cell[0] != " " for cell in screen.rows[-1]):
        screen.rows.pop()
    total_width = int(screen.columns * width + 2 * left)
    total_height = int(len(screen.rows) * height + top + 16)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width}" height="{total_height}" viewBox="0 0 {total_width} {total_height}" role="img">',
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117" stroke="#30363d"/>',
    ]
    for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        out.append(f'<circle cx="{22 + place * 20}" cy="20" r="6" fill="{colour}"/>')
    out.append('<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">')
    for number, row in enumerate(screen.rows):
        y, start = top + number * height + 6, 0
        while start < len(row):
            end = start
            while end < len(row) and row[end][1:] == row[start][1:]:
                end += 1
            text = "".join(cell[0] for cell in row[start:end])
            if text.strip():
                _, colour, bold, dim = row[start]
                weight = ' font-weight="700"' if bold else ""
                faint = ' opacity="0.65"' if dim else ""
                x, length = left + start * width, len(text) * width
                out.append(f'<text x="{x:.1f}" y="{y}" fill="{colour}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"{weight}{faint}>{escape(text).replace(" ", NO_BREAK)}</text>')
            start = end
    out.append("</g></svg>")
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    screen = Screen(int(sys.argv[2]))
    for command in sys.argv[3:]:
        screen.put(f"\x1b[1;32m$\x1b[0m {command}\r\n")
        run(command, screen)
        if screen.column:
            screen.put("\r\n")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(svg(screen))


main()
