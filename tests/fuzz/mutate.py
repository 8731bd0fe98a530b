"""From random bytes to a spoilt input: hypothesis draws the bytes, or atheris steers them."""

import copy
from typing import Any

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2, 63, 2**31, 2**63, 10**18, 10**400, 0.5, 1e308, float("nan"),
    float("inf"), "", "x", "x" * 5000, "; rm -rf x", "$(touch pwned)", "`touch pwned`", "{rank}",
    "../../../../pwned", "/dev/zero", "/etc/passwd", "a\0b", "a\nb", "\ud800", "é", "-rf", "1e3",
    [], {}, [[]], [None], {"": None}, ["q_proj"] * 3, "(a+)+$", ".*" * 20, "(", "nf4", 64, 10**9,
]  # fmt: skip
TOKENS = [
    b"", b"\0", b"\xff\xfe", b"\r", b"\n", b",", b'"', b"|", b"*a", b"&a ", b"<<: ",
    b"!!python/name:os",
    b"!!timestamp 2020-99-99", b"2020-13-45", b"- " * 50, b"[" * 3000, b"{" * 3000, b"9" * 5000,
    b"\xc3\xa9", b"a" * 5000, b"; rm -rf x", b"$(touch pwned)", b"../../pwned", b": ", b"? ",
    b"\t", b"#", b"---\n",
]  # fmt: skip
NUMBERS = [0, 1, 7, 127, 2**15, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


class Choices:
    """Numbers read from bytes; zeros once they are used up: short strings are small edits."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def below(self, n: int) -> int:
        """A number from 0 to n − 1."""
        width = max(1, (max(n - 1, 0).bit_length() + 7) // 8)
        part = self.data[self.at : self.at + width]
        self.at += width
        return int.from_bytes(part, "little") % n if n else 0

    def among(self, options: list) -> Any:
        """One of some options."""
        return options[self.below(len(options))]


def spoil_bytes(content: bytes, choose: Choices, tokens: list[bytes] = TOKENS) -> bytes:
    """One to four edits of a file's bytes."""
    for _ in range(1 + choose.below(4)):
        at = choose.below(len(content) + 1)
        edit = choose.below(7)
        if edit == 0 and at < len(content):
            content = content[:at] + bytes([content[at] ^ 1 << choose.below(8)]) + content[at + 1 :]
        elif edit == 1:
            content = content[:at]
        elif edit == 2:
            content = content[:at] + content[at + 1 + choose.below(32) :]
        elif edit == 3:
            content = content[:at] + content[at : at + 1 + choose.below(64)] + content[at:]
        elif edit == 4:
            number = choose.among(NUMBERS).to_bytes(8, "little")
            content = content[:at] + number + content[at + 8 :]
        elif edit == 5:
            content = content[:at] + bytes([choose.below(256)]) + content[at + 1 :]
        else:
            content = content[:at] + choose.among(tokens) + content[at:]
    return content


def spoil_value(value: Any, choose: Choices) -> Any:
    """One or two members of a JSON-like value replaced, removed, added or renamed."""
    value = copy.deepcopy(value)
    for _ in range(1 + choose.below(2)):
        node = value
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = choose.among(keys)
            child = node[key]
            if isinstance(child, dict | list) and child and choose.below(4):
                node = child
                continue
            edit = choose.below(8)
            if edit == 0:
                del node[key]
            elif edit == 1 and isinstance(node, dict):
                node[str(choose.among(HOSTILE))] = child
            elif edit == 2 and isinstance(node, list):
                node.append(copy.deepcopy(choose.among(HOSTILE)))
            else:
                node[key] = copy.deepcopy(choose.among(HOSTILE))
            break
    return value
