"""Checks the seals of a Boxoffice log over HTTP, by the public standards alone: nothing of Boxoffice is used.

usage: python3 check_seals.py URL KEY ORGANIZER_TOKEN KEPT_CHECKPOINT [RECEIPT]

KEY is the log's public key (NAME+ID+BASE64), KEPT_CHECKPOINT a file with an older checkpoint of the same log, and RECEIPT a
file with the receipt of a booking. Needs `cryptography` (see requirements-seals.txt); exits with 3 where that is missing.

It checks the signature of the newest checkpoint (C2SP signed-note, tlog-checkpoint), recomputes every leaf from its columns
(docs/seals.md) out of the bundles of entries, compares them with the served tiles (C2SP tlog-tiles), computes the root, makes
and checks an inclusion proof of the last leaf and a consistency proof from the kept checkpoint out of the tiles (RFC 6962), and
checks each proof of the receipt. Prints one line of JSON.
"""

import base64
import datetime
import hashlib
import json
import struct
import sys
import urllib.request

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as missing:
    print(f"cryptography is not installed: {missing}", file=sys.stderr)
    sys.exit(3)

WIDTH = 256


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below size."""
    return 1 << (size - 1).bit_length() - 1


def open_note(note: str, key: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that the key signed."""
    name, key_id, public = key.split("+", 2)
    public = base64.b64decode(public, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    if public[0] != 1 or len(public) != 33 or expected.hex() != key_id:
        raise SystemExit("the key is no Ed25519 key of a signed note")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and signer == name and signature[:4] == expected:
            try:
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], text.encode())
            except InvalidSignature:
                raise SystemExit("the signature of the checkpoint is wrong") from None
            origin, size, root = text.splitlines()[:3]
            if origin != name:
                raise SystemExit(f"the checkpoint is of {origin}, the key of {name}")
            return origin, int(size), base64.b64decode(root, validate=True)
    raise SystemExit("the key did not sign this checkpoint")


def encode(columns: dict) -> bytes:
    """A leaf from its columns, as docs/seals.md says."""
    time = datetime.datetime.fromisoformat(columns["recordedAt"].replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    micros = (time - epoch) // datetime.timedelta(microseconds=1)

    def text(name: str) -> bytes:
        column = columns[name].encode()
        return struct.pack(">I", len(column)) + column

    leaf = b"\x01" + struct.pack(">Qq", columns["position"], micros)
    leaf += text("aggregateType") + text("aggregateId") + struct.pack(">Q", columns["sequence"])
    return leaf + text("eventType") + text("eventVersion") + text("payload") + text("metadata")


def decode(leaf: bytes) -> dict:
    """The columns of a leaf."""
    version, position, micros = struct.unpack_from(">BQq", leaf)
    if version != 1:
        raise SystemExit(f"a leaf of version {version}")
    at = 17

    def text() -> str:
        nonlocal at
        (length,) = struct.unpack_from(">I", leaf, at)
        at += 4 + length
        return leaf[at - length : at].decode()

    time = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    columns = {"position": position, "recordedAt": time.isoformat(timespec="microseconds") + "Z"}
    columns["aggregateType"], columns["aggregateId"] = text(), text()
    (columns["sequence"],) = struct.unpack_from(">Q", leaf, at)
    at += 8
    for name in ("eventType", "eventVersion", "payload", "metadata"):
        columns[name] = text()
    if at != len(leaf):
        raise SystemExit(f"the leaf of position {position} has bytes behind its end")
    return columns


class Log:
    """The served log, of the size of one checkpoint."""

    def __init__(self, url: str, token: str, size: int):
        self.url, self.token, self.size, self.tiles = url.rstrip("/"), token, size, {}

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def path(self, level: str, index: int, hashes: int) -> str:
        """The path of a tile of a level that has so many hashes."""
        name = f"{index % 1000:03}"
        rest = index // 1000
        while rest:
            name, rest = f"x{rest % 1000:03}/{name}", rest // 1000
        width = min(WIDTH, hashes - index * WIDTH)
        return f"/tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")

    def tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self.tiles:
            tile = self.get(self.path(str(level), index, self.size >> 8 * level))
            self.tiles[level, index] = [tile[at : at + 32] for at in range(0, len(tile), 32)]
        return self.tiles[level, index]

    def entries(self):
        for index in range((self.size + WIDTH - 1) // WIDTH):
            bundle, at = self.get(self.path("entries", index, self.size)), 0
            while at < len(bundle):
                (length,) = struct.unpack_from(">H", bundle, at)
                at += 2 + length
                yield bundle[at - length : at]

    def root(self, first: int, end: int) -> bytes:
        """MTH(D[first:end]), out of the tiles."""
        size = end - first
        if size & (size - 1) == 0:
            height = size.bit_length() - 1
            level, above = divmod(height, 8)
            nth = first >> 8 * level
            hashes = self.tile(level, nth // WIDTH)[nth % WIDTH : nth % WIDTH + (1 << above)]
            while len(hashes) > 1:
                hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
            return hashes[0]
        middle = first + split(size)
        return node_hash(self.root(first, middle), self.root(middle, end))

    def inclusion(self, index: int, first: int, end: int) -> list[bytes]:
        """PATH(m, D[n]) of RFC 6962, section 2.1.1."""
        if end - first == 1:
            return []
        middle = first + split(end - first)
        if index < middle:
            return self.inclusion(index, first, middle) + [self.root(middle, end)]
        return self.inclusion(index, middle, end) + [self.root(first, middle)]

    def consistency(self, old: int, first: int, end: int, known: bool) -> list[bytes]:
        """SUBPROOF(m, D[n], b) of RFC 6962, section 2.1.2."""
        if old == end:
            return [] if known else [self.root(first, end)]
        middle = first + split(end - first)
        if old <= middle:
            return self.consistency(old, first, middle, known) + [self.root(middle, end)]
        return self.consistency(old, middle, end, False) + [self.root(first, middle)]


def check_inclusion(index: int, size: int, leaf: bytes, proof: list[bytes], root: bytes) -> None:
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        raise SystemExit(f"leaf {index} is not in a tree of {size}")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise SystemExit("an inclusion proof is too long")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last or found != root:
        raise SystemExit(f"leaf {index} is not proved to be in the tree of {size}")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> None:
    """RFC 9162, section 2.1.4.2."""
    if old == new:
        if proof or old_root != new_root:
            raise SystemExit("two trees of one size have different roots")
        return
    proof = ([old_root] if old & (old - 1) == 0 else []) + proof
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    older = newer = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            raise SystemExit("a consistency proof is too long")
        if at & 1 or at == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        at, last = at >> 1, last >> 1
    if last or older != old_root or newer != new_root:
        raise SystemExit(f"the tree of {new} does not go on from the kept one of {old}: history was rewritten")


def check_receipt(receipt: dict, key: str) -> int:
    _, size, root = open_note(receipt["checkpoint"], key)
    for event in receipt["events"]:
        leaf = leaf_hash(encode(event))
        proof = [base64.b64decode(sibling, validate=True) for sibling in event["inclusionProof"]]
        check_inclusion(event["position"] - 1, size, leaf, proof, root)
    return len(receipt["events"])


def main(url: str, key: str, token: str, kept: str, receipt: str | None = None) -> None:
    newest = Log(url, token, 0).get("/checkpoint").decode()
    origin, size, root = open_note(newest, key)
    log = Log(url, token, size)
    if log.root(0, size) != root:
        raise SystemExit("the tiles do not lead to the signed root")
    position = 0
    for position, leaf in enumerate(log.entries(), 1):
        columns = decode(leaf)
        if columns["position"] != position or encode(columns) != leaf:
            raise SystemExit(f"the entry at {position} is not the leaf of its columns")
        if log.tile(0, (position - 1) // WIDTH)[(position - 1) % WIDTH] != leaf_hash(leaf):
            raise SystemExit(f"the entry at {position} is not what was sealed")
    if position != size:
        raise SystemExit(f"{position} entries are served, and {size} are sealed")
    last = log.tile(0, (size - 1) // WIDTH)[(size - 1) % WIDTH]
    check_inclusion(size - 1, size, last, log.inclusion(size - 1, 0, size), root)
    with open(kept, encoding="utf-8") as file:
        _, old, old_root = open_note(file.read(), key)
    check_consistency(old, old_root, size, root, log.consistency(old, 0, size, True))
    proved = 0
    if receipt:
        with open(receipt, encoding="utf-8") as file:
            proved = check_receipt(json.load(file), key)
    print(json.dumps({"origin": origin, "size": size, "kept": old, "entries": position, "receiptEvents": proved}))


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
