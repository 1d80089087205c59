"""Near-duplicates among the pictures that gave patches: found by a perceptual hash, and left out.

A picture and its copy, resized or coded again, would sit on both sides of the split, which is by name. So each
picture that gave patches has a hash of 64 bits (imagehash.phash; Zauner 2010: which of the lowest 8 x 8 cosine
coefficients of a thumbnail lie above their median). When all tasks are done, pictures within NEAR bits of each other,
directly or by way of others, make a group, of which one stays: one of train if there is one, for what was trained on
must never be tested on.

Only pictures with patches are compared, in memory: of two hashes within d bits, cut into d + 1 pieces, one piece is
the same (Manber & Wu 1994), so only pictures that share a piece are looked at.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

# Copies resized to 60 % and coded again differ in 0 to 4 bits; unrelated pictures by chance in 6 or fewer once in
# 10^11 pairs: some twenty of the 2 x 10^11 pairs that 700,000 pictures have.
NEAR = 6
BLOCK = 2048  # hashes compared at once with as many others


def picture_hash(pixels: np.ndarray) -> int:
    """The perceptual hash, 64 bits, of a picture, uint8 [H,W,3]."""
    from imagehash import phash

    bits = phash(Image.fromarray(pixels)).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: Sequence[int] | np.ndarray, most: int = NEAR) -> np.ndarray:
    """All pairs i < j of hashes at most so many bits apart: int64 [pairs,2]."""
    h = np.asarray(hashes, dtype=np.uint64)
    edges = np.linspace(0, 64, most + 2).round().astype(int)
    found = [np.empty((0, 2), np.int64)]
    for low, high in pairwise(edges.tolist()):
        piece = (h >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(piece, kind="stable")
        starts = np.flatnonzero(np.diff(piece[order], prepend=np.uint64(1 << 63)))
        for bucket in np.split(order, starts[1:]):
            found += _within(h, bucket, most)
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0)


def _within(h: np.ndarray, bucket: np.ndarray, most: int) -> list[np.ndarray]:
    """Pairs of one bucket, a block against a block, for memory's sake."""
    found = []
    for a in range(0, len(bucket), BLOCK):
        for b in range(a, len(bucket), BLOCK):
            one, other = bucket[a : a + BLOCK], bucket[b : b + BLOCK]
            near = np.bitwise_count(h[one][:, None] ^ h[other]) <= most
            i, j = np.nonzero(np.triu(near, 1) if a == b else near)
            if len(i):
                found.append(np.stack([one[i], other[j]], axis=1))
    return found


def groups(count: int, pairs: np.ndarray) -> np.ndarray:
    """[count]; the group of each of so many items, named by its first: pairs and all that hang together by them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    label = connected_components(links, directed=False)[1]
    return np.unique(label, return_index=True)[1][label] if count else np.empty(0, int)


def left_out(hashes: Sequence[int], splits: Sequence[str], order: Sequence[str]) -> dict[int, int]:
    """Which pictures are near-duplicates: its number -> the number of the one that stays in its place.

    Args:
        splits: of each picture; order: of the splits, the first keeps its picture.
    """
    group = groups(len(hashes), near_pairs(hashes))
    rank = {name: i for i, name in enumerate(order)}
    stays: dict[int, int] = {}
    members = np.flatnonzero(np.bincount(group, minlength=len(group))[group] > 1)
    for i in sorted(members.tolist(), key=lambda i: (rank[splits[i]], i)):
        stays.setdefault(int(group[i]), i)
    return {int(i): stays[int(group[i])] for i in members if stays[int(group[i])] != i}
