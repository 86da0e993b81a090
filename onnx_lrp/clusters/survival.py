"""Blocks explained by a worker that may be killed: a journal says how far it came, and which row killed it.

First all blocks of a bundle are explained together. If the worker dies, the next one takes them one by one. The block
that kills it again is probed, row by row, and each row that kills a worker then is left out, with an error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..batch.blocks import Block, BlockWork, Done
from ..errors import OutputError

MOST_TRIES = 3  # of a block in which no single row is at fault
KILLS = "explaining it ended the worker process (out of memory, or a crash of the runtime); it was left out"
KILLS_TOGETHER = "its block ended the worker process again and again, and no single row did; all of it was left out"


@dataclass
class Journal:
    """What became of a bundle of blocks so far, on disk.

    Attributes:
        path: a file of JSON lines.
        done: those that are stored, by number.
        tries: how often each block was begun alone, by number.
        began: whether some worker took the bundle before.
        poisoned: rows that killed a worker, by number of their block.
        probing: the first row of the probe that is not finished, by number of its block.
        probed: the blocks that were probed to their end.
    """

    path: Path
    done: dict[int, int] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)
    began: bool = False
    poisoned: dict[int, list[int]] = field(default_factory=dict)
    probing: dict[int, int] = field(default_factory=dict)
    probed: set[int] = field(default_factory=set)

    @staticmethod
    def read(path: Path) -> Journal:
        """What is written there; nothing, if nobody began."""
        journal = Journal(path)
        if path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    journal._take(*json.loads(line))
                except ValueError:  # a line that was cut off with its writer
                    continue
        return journal

    def note(self, word: str, block: int = -1, number: int = 0) -> None:
        """Write down what happens next, or what has happened: a worker that is killed afterwards has said it."""
        self._take(word, block, number)
        line = f"\n{json.dumps([word, block, number])}\n".encode()  # on its own, should the last one be cut off
        with open(self.path, "ab", buffering=0) as file:
            file.write(line)  # the kernel has it, whatever becomes of this process

    def _take(self, word: str, block: int, number: int) -> None:
        if word == "began":
            self.began = True
        elif word == "done":
            self.done[block] = number
        elif word == "try":
            self.tries[block] += 1
        elif word == "probe":
            self.probing[block] = number
        elif word == "poison":
            self.poisoned.setdefault(block, []).append(number)
        elif word == "probed":
            self.probing.pop(block, None)
            self.probed.add(block)


@dataclass
class Survivor:
    """Does a bundle of blocks, whatever happened to those who tried before.

    Attributes:
        work: explains and stores.
        journals: a folder that outlives the worker, and that all workers see.
    """

    work: BlockWork
    journals: Path

    def __call__(self, blocks: Sequence[Block]) -> Iterator[Done]:
        """All of them, also those that an earlier worker has done."""
        journal = Journal.read(self.journals / f"{blocks[0].number:08d}.jsonl")
        left = [block for block in blocks if block.number not in journal.done]
        yield from (Done(block, journal.done[block.number]) for block in blocks if block.number in journal.done)
        if journal.began:
            found: Iterator[Done] = (self._alone(block, journal) for block in left)
        else:
            journal.note("began")
            found = self.work.stream(iter(left))
        for done in found:
            journal.note("done", done.block.number, done.failed)
            yield done

    def _alone(self, block: Block, journal: Journal) -> Done:
        number = block.number
        died = journal.tries[number] > 0 and number not in journal.probed
        if died and journal.tries[number] < MOST_TRIES:
            self._probe(block, journal)
        rows = dict.fromkeys(journal.poisoned.get(number, ()), KILLS)
        if journal.tries[number] > MOST_TRIES:
            raise OutputError(
                f"block {number} cannot be stored: each worker that tries is ended; is there memory left?"
            )
        if journal.tries[number] == MOST_TRIES:
            rows = {**dict.fromkeys(block.rows, KILLS_TOGETHER), **rows}
        journal.note("try", number)
        return self.work(block, rows) if rows else self.work(block)

    def _probe(self, block: Block, journal: Journal) -> None:
        """Find the rows that kill, each of which ends this process; the next one goes on behind it."""
        number, start = block.number, block.start
        if number in journal.probing:
            start = journal.probing[number]
            last = _last_row(self._rows_of(number, start), range(start, block.stop))
            if last is None:
                journal.note("try", number)
            else:
                journal.note("poison", number, last)
                start = last + 1
        if start < block.stop:
            journal.note("probe", number, start)
            self.work.probe(replace(block, start=start), self._rows_of(number, start))
        journal.note("probed", number)

    def _rows_of(self, block: int, start: int) -> Path:
        return self.journals / f"{block:08d}.from{start}"


def _last_row(path: Path, rows: range) -> int | None:
    """The last of these rows that is noted in a probe's journal."""
    noted = path.read_text().split() if path.exists() else []
    found = [int(word) for word in noted if word.isdigit() and int(word) in rows]
    return found[-1] if found else None
