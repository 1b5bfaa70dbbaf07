#!/usr/bin/env python3
"""Trains and scores with PyTorch at the word of run.sh: see torch_wdl.py.

usage: torch_run.py

Reads commands, a line each, and answers each with the seconds it took:
    train FORM ROWS      one pass over the first ROWS rows, from memory
    score memory         our stored network over all rows to score, from memory
    score gate           the same with 7 gated experts beside it, weights of its own
    score copy           the table by binary COPY, our network, the scores by
                         binary COPY into bench.returned

Reads tables of schema bench by psql, which finds the server by the environment.
Before a training or scoring is measured for the first time, it is run once.
"""
import os
import subprocess
import sys

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy
import torch

import torch_wdl

# COPY's binary format: 19 bytes of header; a row is its number of columns, then
# each column's length and bytes; 2 bytes of trailer.
HEADER = b"PGCOPY\n\377\r\n\0" + bytes(8)
TRAILER = b"\377\377"


def row_type(*columns):
    parts = [("n", ">i2")]
    for name, kind in columns:
        parts += [(name + " length", ">i4"), (name, kind)]
    return numpy.dtype(parts)


RETURNED = row_type(("id", ">i4"), ("score", ">f4"))


def psql(command, **more):
    return subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", command], check=True, stdout=subprocess.PIPE, **more).stdout


def table(query, *columns):
    """Columns of whole numbers, not NULL."""
    kind = row_type(*((column, ">i4") for column in columns))
    copied = psql("COPY (SELECT %s %s) TO STDOUT (FORMAT binary)" % (", ".join(columns), query))
    rows = numpy.frombuffer(copied, kind, (len(copied) - len(HEADER) - len(TRAILER)) // kind.itemsize, len(HEADER))
    return [rows[column] for column in columns]


def put_back(ids, scores):
    rows = numpy.empty(len(ids), RETURNED)
    rows["n"], rows["id length"], rows["score length"] = 2, 4, 4
    rows["id"], rows["score"] = ids, scores
    psql("COPY bench.returned FROM STDIN (FORMAT binary)", input=HEADER + rows.tobytes() + TRAILER)


class Run:
    def __init__(self):
        stored = {}
        for line in psql("SELECT name, rows, cols, encode(data, 'hex') FROM bench.weight").decode().splitlines():
            name, n_rows, n_cols, data = line.split("|")
            stored[name] = (int(n_rows), int(n_cols), bytes.fromhex(data))
        self.scorer = torch_wdl.Scorer(stored)
        self.rows = {}
        for place in ("place", "place28"):
            columns = table("FROM bench.rows", "user_id", "item_id", place, "clicked::int")
            sizes = self.scorer.sizes[:2] + [int(columns[2].max()) + 1]
            self.rows[place] = torch_wdl.Rows(*columns, sizes)
        self.to_score = self.scorer.rows(*table("FROM bench.scored", "user_id", "item_id", "place"))
        self.gated = torch_wdl.Net(self.scorer.net.table.num_embeddings, self.scorer.sizes[2], torch_wdl.Gate)
        self.warm = set()

    def train(self, form, n_rows):
        rows = self.rows["place" if form in ("dense", "sparse", "gate") else "place28"]
        torch_wdl.train(rows, n_rows, 1, form)

    def score(self, how):
        if how == "copy":
            ids, *columns = table("FROM bench.scored", "id", "user_id", "item_id", "place")
            put_back(ids, self.scorer.score(self.scorer.rows(*columns)).numpy())
        else:
            torch_wdl.score(self.gated if how == "gate" else self.scorer.net, self.to_score)

    def command(self, what, how, n_rows="0"):
        if how not in self.warm and how != "copy":
            self.warm.add(how)
            if what == "train":
                self.train(how, 5 * torch_wdl.BATCH)
            else:
                self.score(how)
        if what == "train":
            return torch_wdl.seconds_of(self.train, how, int(n_rows))
        return torch_wdl.seconds_of(self.score, how)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(42)
    run = Run()
    for line in sys.stdin:
        print(run.command(*line.split()), flush=True)


if __name__ == "__main__":
    main()
