#!/usr/bin/env python3
"""Scores rows in memory with PyTorch on one thread, for scoring.sh.

usage: torch_score.py ROWS_FILE WIDTH

ROWS_FILE as torch_peer.py reads it.  Prints a line each, rows per second of CPU time:
    backbone RATE    the network of backbone mlp
    input RATE       the same with a gate over the input and one expert per domain: the
                     factors of all experts side by side, two products a layer
each with the size of batch that is the fastest here and now.
"""
import sys

from torch_peer import Rows, rate  # first: it says how many threads there are

import torch
from torch import nn

from torch_ctr import Net, Shape, Table, glorot

BATCHES = [128, 512, 1024, 4096]
TRY_SECONDS, SECONDS = 0.1, 0.5
REDUCE = 16  # lora_reduce: an expert's rank is a layer's width by this


class GatedNet(Net):
    def __init__(self, shape, fields, n_experts):
        super().__init__(shape, fields)
        widths = [self.interaction.h0_width, *shape.hidden]
        self.ranks = [out // REDUCE for out in shape.hidden]
        self.gate = nn.Linear(widths[0], n_experts)
        self.down = nn.ParameterList(glorot(width, n_experts * rank) for width, rank in zip(widths, self.ranks))
        self.up = nn.ParameterList(glorot(n_experts * rank, out) for rank, out in zip(self.ranks, shape.hidden))
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(n_experts, out)) for out in shape.hidden)

    def forward(self, inputs):
        V, _ = self.fields(inputs)
        h = V.flatten(1)
        g = torch.softmax(self.gate(h), 1)
        for layer, rank, down, up, bias in zip(self.layers, self.ranks, self.down, self.up, self.bias):
            weighed = ((h @ down).view(len(h), -1, rank) * g.unsqueeze(2)).flatten(1)
            h = torch.relu_(layer(h).addmm_(weighed, up).addmm_(g, bias))
        return self.head(h).squeeze(1)


def score(net, rows, batch):
    def work(n_rows):
        for ids in rows.ids[:n_rows].split(batch):
            torch.sigmoid(net(ids))
    return work


def main():
    rows, width = Rows(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    shape = Shape("mlp", rows.ids.shape[1], width)
    fields = Table(rows.n_ids, shape, False)
    n_experts = int((rows.ids[:, -1].max() - rows.ids[:, -1].min()).item()) + 1
    nets = {"backbone": Net(shape, fields), "input": GatedNet(shape, fields, n_experts)}
    with torch.no_grad():
        for name, net in nets.items():
            net.eval()
            score(net, rows, 1024)(8192)  # the first batches are slower
            tries = {batch: rate(score(net, rows, batch), 8192, TRY_SECONDS)[1] for batch in BATCHES}
            print(name, rate(score(net, rows, max(tries, key=tries.get)), len(rows.labels), SECONDS)[1], flush=True)


if __name__ == "__main__":
    main()
