#!/usr/bin/env python3
"""Trains the network of run.sh with PyTorch, one thread, and prints the time.

usage: torch_train.py ROWS.csv EPOCHS dense|sparse

ROWS.csv: user,item,domain,label as whole numbers, ids from 0.  Prints the
seconds.  Timed is training alone: the clock starts when the rows are tensors.

Wide & Deep: three categorical fields (the domain is one), embeddings 8 wide,
24 -> 256 -> 128 -> 64 -> 1, dropout 0.5, a linear term, Adam, batch 1024.

Written to be fast, as far as that leaves the network what it is: all fields and
the linear term in one table, batches by index_select from a shuffled order, no
data loader, the optimizer's multi-tensor form.  dense: Adam over the whole table;
sparse: SparseAdam for the rows that a batch touches, which is less arithmetic and
what the extension does, but not always faster.
"""
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy
import torch

WIDTH, HIDDEN, DROPOUT, BATCH, RATE = 8, [256, 128, 64], 0.5, 1024, 0.001


class WideAndDeep(torch.nn.Module):
    def __init__(self, n_ids, n_fields, sparse):
        super().__init__()
        self.table = torch.nn.Embedding(n_ids, WIDTH + 1, sparse=sparse)  # the last column is the linear term
        torch.nn.init.normal_(self.table.weight, 0, 0.01)
        self.table.weight.data[:, WIDTH] = 0
        layers = []
        width = n_fields * WIDTH
        for hidden in HIDDEN:
            layers += [torch.nn.Linear(width, hidden), torch.nn.Dropout(DROPOUT, inplace=True), torch.nn.ReLU(inplace=True)]
            width = hidden
        self.tower = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))

    def forward(self, ids):
        values = self.table(ids)
        return self.tower(values[:, :, :WIDTH].flatten(1)).squeeze(1) + values[:, :, WIDTH].sum(1)


def train(ids, labels, n_ids, epochs, sparse):
    """Seconds for `epochs` passes over the rows, from a fresh network."""
    start = time.perf_counter()
    net = WideAndDeep(n_ids, ids.shape[1], sparse)
    if sparse:
        optimizers = [torch.optim.SparseAdam(net.table.parameters(), lr=RATE),
                      torch.optim.Adam(net.tower.parameters(), lr=RATE, foreach=True)]
    else:
        optimizers = [torch.optim.Adam(net.parameters(), lr=RATE, foreach=True)]
    loss_of = torch.nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        for rows in torch.randperm(len(ids)).split(BATCH):
            loss = loss_of(net(ids.index_select(0, rows)), labels.index_select(0, rows))
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    return time.perf_counter() - start


def main():
    path, epochs, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    torch.manual_seed(42)
    with open(path) as file:
        table = numpy.array(file.read().replace(",", " ").split(), dtype=numpy.int64).reshape(-1, 4)
    sizes = table[:, :3].max(axis=0) + 1
    ids = torch.from_numpy(table[:, :3] + numpy.concatenate([[0], numpy.cumsum(sizes)[:-1]]))
    labels = torch.from_numpy(table[:, 3].astype(numpy.float32))
    train(ids[:20 * BATCH], labels[:20 * BATCH], int(sizes.sum()), 1, variant == "sparse")  # a first, slower time
    print(train(ids, labels, int(sizes.sum()), epochs, variant == "sparse"))


if __name__ == "__main__":
    main()
