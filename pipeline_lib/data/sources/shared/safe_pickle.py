"""Pickles of strangers: bytes, texts, numbers, lists, tuples and numpy arrays come out; anything else is refused, by name.

Python's own unpickler calls what a pickle names, and takes as much memory as it asks for. This one goes through the instructions
(pickletools, which only splits them), knows a few, and makes nothing but plain values.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

MAX_MEMO = 10_000_000
MADE_TIMES = 4  # bytes made by calls for each one of a pickle: a text becomes bytes, and these an array
MARK = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
VALUES |= {"BYTEARRAY8", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
PYTHON2_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
KINDS = {
    "u1": np.uint8,
    "b1": np.bool_,
    "i1": np.int8,
    "i4": np.int32,
    "i8": np.int64,
    "f4": np.float32,
    "f8": np.float64,
}


@dataclass
class _Name:
    """A name that the pickle would import."""

    text: str


@dataclass
class _Dtype:
    """numpy.dtype of one of KINDS."""

    kind: str


class _Array:
    """A numpy array on its way: made empty, then given its state."""

    value: npt.NDArray[Any] | None = None


def load(data: bytes) -> Any:
    """The value of a pickle, also of Python 2's, whose strings are bytes (in protocol 0 ASCII alone).

    Raises:
        DataError: it holds anything else than the module says (names what), is damaged or cut.
    """
    try:
        return _Machine().run(data)
    except DataError:
        raise
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise DataError("A pickle is damaged.", got=f"{type(error).__name__}: {str(error)[:200]}") from error


class _Machine:
    """The pickle machine: a stack and a memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.num_left = 0  # bytes that calls may still make

    def run(self, data: bytes) -> Any:
        self.num_left = MADE_TIMES * len(data)
        for instruction, argument, at in pickletools.genops(data):
            name, said = instruction.name, cast(Any, argument)
            if name == "STOP":
                return _plain(self.stack.pop(), {})
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in VALUES:
                self.stack.append(said)
            elif name in PYTHON2_STRINGS:
                self.stack.append(said.encode("latin-1"))
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self._remember(said)
            elif name == "MEMOIZE":
                self._remember(len(self.memo))
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[said])
            elif name in ("PROTO", "FRAME"):
                pass
            elif name == "GLOBAL":
                self.stack.append(_Name(said.replace(" ", ".")))
            elif (step := STEPS.get(name)) is not None:
                step(self)
            else:
                raise DataError("A pickle does what none of faces does.", got=f"{name} at byte {at}")
        raise ValueError("it has no end")

    def _remember(self, place: int) -> None:
        if len(self.memo) >= MAX_MEMO:
            raise ValueError("it remembers too much")
        self.memo[place] = self.stack[-1]

    def _counted(self, made: Any) -> Any:
        """What a call made, of which a few bytes of a pickle could ask for any number."""
        value = made.value if isinstance(made, _Array) else made
        self.num_left -= (
            value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, bytes) else 0
        )
        if self.num_left < 0:
            raise ValueError("it makes more than it holds")
        return made

    def mark(self) -> None:
        self.stack.append(MARK)

    def since_mark(self) -> list[Any]:
        at = max(place for place, value in enumerate(self.stack) if value is MARK)
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("its stack is empty")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("something is appended to what is no list")
        target.extend(values)

    def stack_global(self) -> None:
        module, name = self.pop(2)
        self.stack.append(_Name(f"{module}.{name}"))

    def reduce(self) -> None:
        called, arguments = self.pop(2)
        if not isinstance(called, _Name) or called.text not in CALLS:
            named = called.text if isinstance(called, _Name) else type(called).__name__
            allowed = "bytes, lists, tuples, bools, numpy arrays"
            raise DataError("A pickle would call what none of faces calls.", got=named[:200], allowed=allowed)
        self.stack.append(self._counted(CALLS[called.text](*arguments)))

    def build(self) -> None:
        state = self.pop(1)[0]
        target = self.stack[-1]
        if isinstance(target, _Array):
            target.value = self._counted(_array_of(state))
        elif not isinstance(target, _Dtype):  # a dtype's state is its byte order, which of these kinds is little-endian
            raise DataError("A pickle gives a state to what has none.", got=type(target).__name__)


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Arrays in lists and tuples as numpy's; what was never called is refused. A list that comes many times stays one list."""
    if id(value) in done:
        if done[id(value)] is MARK:
            raise ValueError("a list is in itself")
        return done[id(value)]
    if isinstance(value, list | tuple):
        done[id(value)] = MARK
        done[id(value)] = type(value)([_plain(each, done) for each in value])
        return done[id(value)]
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array has no values")
        return value.value
    if isinstance(value, _Name | _Dtype) or value is MARK:
        raise DataError("A pickle holds what none of faces holds.", got=getattr(value, "text", type(value).__name__))
    return value


def _array_of(state: Any) -> npt.NDArray[Any]:
    _, shape, dtype, is_fortran, content = state
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes) or is_fortran:
        raise DataError(
            "A pickle holds an array of another kind.",
            got=getattr(dtype, "kind", type(content).__name__),
            allowed=sorted(KINDS),
        )
    return np.frombuffer(content, KINDS[dtype.kind]).reshape(shape)  # ValueError where they do not fit


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _array_of((1, shape, dtype, order != "C", bytes(content)))
    return array


def _dtype(kind: Any, *_: Any) -> _Dtype:
    text = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
    if text not in KINDS:
        raise DataError("A pickle holds an array of another kind.", got=text[:50], allowed=sorted(KINDS))
    return _Dtype(text)


def _scalar(dtype: _Dtype, content: Any) -> Any:
    return np.frombuffer(content, KINDS[dtype.kind])[0].item()


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise DataError("A pickle would call what none of faces calls.", got=f"codecs.encode to {encoding}"[:200])
    return text.encode("latin-1")


CALLS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encoded,  # how Python 3 writes bytes for Python 2
    "__builtin__.bytes": lambda: b"",  # and no bytes at all; of a number it would be that many
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},  # protocol 5
    **{f"numpy.{core}.multiarray._reconstruct": lambda *_: _Array() for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    "numpy.dtype": _dtype,
}
STEPS: dict[str, Callable[[_Machine], None]] = {
    "MARK": _Machine.mark,
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "LIST": lambda machine: machine.stack.append(machine.since_mark()),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine: machine.stack.append(tuple(machine.pop(1))),
    "TUPLE2": lambda machine: machine.stack.append(tuple(machine.pop(2))),
    "TUPLE3": lambda machine: machine.stack.append(tuple(machine.pop(3))),
    "APPEND": lambda machine: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine: machine.extend(machine.since_mark()),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
