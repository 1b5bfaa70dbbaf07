#!/usr/bin/env python3
"""Trains and scores the networks of torch_ctr.py at the word of backbones.sh, on one thread.

usage: torch_peer.py ROWS_FILE WIDTH best|usual

ROWS_FILE: a row a line, whole numbers between blanks: an id from 0 per field, the
domain last, then the label.  WIDTH: of the embeddings.

Reads commands, a line each, and answers each with a line:
    open BACKBONE    takes that network; answers in which form, as JSON
    train N          one pass over the first N rows; answers rows/s and CPU seconds
    score N          the first N rows; answers likewise per second

best: where PyTorch leaves a choice that does not touch the mathematics, what is
faster here and now: the source of dropout's random numbers, dense or sparse
gradients of the tables (Adam over them whole, or SparseAdam over the rows that a
batch touches, as the extension does), the rows of a batch in scoring.
usual: nn.Dropout, dense gradients, 1024 rows.

The clock runs when rows are tensors and the network stands.
"""
import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy
import torch
from torch import nn

from torch_ctr import MaskDropout, Net, Shape, Table

BATCH, RATE = 1024, 0.001
DROPOUTS = {"nn.Dropout": nn.Dropout, "mask": MaskDropout}
USUAL = {"dropout": "nn.Dropout", "tables": "dense", "score_batch": BATCH}
OTHERS = {"dropout": ["mask"], "tables": ["sparse"], "score_batch": [128, 512, 4096]}
TURNS, TURN_SECONDS = 3, 0.1
LEAST_SECONDS = 0.5


class Rows:
    """All rows in memory, ids counted through all fields."""

    def __init__(self, path):
        with open(path) as file:
            first = file.readline().split()
        numbers = numpy.fromfile(path, dtype=numpy.int64, sep=" ").reshape(-1, len(first))
        sizes = numbers[:, :-1].max(axis=0) + 1
        self.n_ids = int(sizes.sum())
        self.ids = torch.from_numpy(numbers[:, :-1] + numpy.concatenate([[0], numpy.cumsum(sizes)[:-1]]))
        self.labels = torch.from_numpy(numbers[:, -1].astype(numpy.float32))


class Peer:
    """One backbone in one form."""

    def __init__(self, rows, shape, form):
        self.rows = rows
        self.score_batch = form["score_batch"]
        sparse = form["tables"] == "sparse"
        self.net = Net(shape, Table(rows.n_ids, shape, sparse), DROPOUTS[form["dropout"]])
        self.loss_of = nn.BCEWithLogitsLoss()
        if sparse:
            tables = set(self.net.fields.parameters())
            others = [parameter for parameter in self.net.parameters() if parameter not in tables]
            self.optimizers = [torch.optim.SparseAdam(list(tables), lr=RATE), torch.optim.Adam(others, lr=RATE)]
        else:
            self.optimizers = [torch.optim.Adam(self.net.parameters(), lr=RATE)]

    def train(self, n_rows):
        self.net.train()
        for batch in torch.randperm(n_rows).split(BATCH):
            logits = self.net(self.rows.ids.index_select(0, batch))
            loss = self.loss_of(logits, self.rows.labels.index_select(0, batch))
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()

    def score(self, n_rows):
        """The mean score."""
        self.net.eval()
        with torch.no_grad():
            return torch.cat([torch.sigmoid(self.net(ids)) for ids in self.rows.ids[:n_rows].split(self.score_batch)]).mean()


def clocks():
    return time.perf_counter(), time.process_time()


def rate(work, n_rows, least_seconds):
    """Repeats work(n_rows) for so long; rows/s by the clock and by the CPU time."""
    start, cpu_start = clocks()
    n = 0
    while n == 0 or time.perf_counter() - start < least_seconds:
        work(n_rows)
        n += n_rows
    end, cpu_end = clocks()
    return n / (end - start), n / (cpu_end - cpu_start)


def fastest(rows, shape, forms, is_training):
    """Tries the forms by turns and takes the one with the best turn, by CPU time: others on the machine disturb it less."""
    peers = [Peer(rows, shape, form) for form in forms]
    works = [peer.train if is_training else peer.score for peer in peers]
    n_rows = min(len(rows.labels), BATCH * (2 if is_training else 4))
    best = [0] * len(forms)
    for turn in range(1 + TURNS):
        for i, work in enumerate(works):
            reached = rate(work, n_rows, TURN_SECONDS)[1]
            if turn > 0:  # the first batches are slower
                best[i] = max(best[i], reached)
    return forms[best.index(max(best))]


def best_form(rows, shape):
    form = USUAL
    for choice, others in OTHERS.items():
        forms = [form] + [{**form, choice: other} for other in others]
        form = fastest(rows, shape, forms, choice != "score_batch")
    return form


def main():
    path, width, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    torch.manual_seed(42)
    rows = Rows(path)
    peer = None
    for line in sys.stdin:
        command, argument = line.split()
        if command == "open":
            shape = Shape(argument, rows.ids.shape[1], width)
            form = best_form(rows, shape) if kind == "best" else USUAL
            peer = Peer(rows, shape, form)
            peer.train(2 * BATCH)  # the first batches are slower
            print(json.dumps(form), flush=True)
        else:
            work = {"train": peer.train, "score": peer.score}[command]
            print(*rate(work, int(argument), LEAST_SECONDS), flush=True)


if __name__ == "__main__":
    main()
