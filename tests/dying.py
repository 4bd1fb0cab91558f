"""Functions for `apart` that end badly."""

import os


def crash(_: bytes) -> bytes:
    os.abort()


def hang(_: bytes) -> bytes:
    while True:
        pass


def hungry(_: bytes) -> bytes:
    return bytes(2**50)
