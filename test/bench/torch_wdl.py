"""The network of run.sh in PyTorch: trained and scored on one thread of a CPU.

Loaded by torch_run.py, and by PL/Python inside the server (plpython.sql), which
gets this file as text.

Wide & Deep: three categorical fields (the domain is the last), embeddings 8 wide,
24 -> 256 -> 128 -> 64 -> 1, dropout 0.5, a linear term, Adam, batches of 1024.
Experts: pairs of factors beside each layer, of ranks 16, 8 and 4.

Written to be fast, as far as that leaves the network what it is: all fields and
the linear term in one table, batches by index_select from a shuffled order, no
data loader, the optimizer's multi-tensor form.

Letters: B rows, E experts, r rank.  ids [B, 3] are counted through all fields.
"""
import time

import numpy
import torch
from torch import nn

WIDTH, HIDDEN, DROPOUT, BATCH, RATE = 8, (256, 128, 64), 0.5, 1024, 0.001
REDUCE = 16  # of a layer's outputs: its rank
SCORE_BATCH = 512


class Plain:
    """No experts: a layer is its base branch."""

    def __init__(self, net):
        pass

    def start(self, domains):
        pass

    def add(self, layer, h, base):
        return base


class SideBySide(nn.Module):
    """All experts' factors side by side, two multiplications a layer; weights g [B, E] of each row."""

    def __init__(self, n_domains):
        super().__init__()
        widths = [3 * WIDTH, *HIDDEN]
        self.ranks = [out // REDUCE for out in HIDDEN]
        self.down = nn.ParameterList(nn.Parameter(torch.randn(n, n_domains * r) / n ** 0.5) for n, r in zip(widths, self.ranks))
        self.up = nn.ParameterList(nn.Parameter(torch.randn(n_domains * r, out) * 0.01) for r, out in zip(self.ranks, HIDDEN))
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(n_domains, out)) for out in HIDDEN)

    def start(self, domains):
        self.g = self.weights(domains)

    def add(self, layer, h, base):
        weights = self.g.repeat_interleave(self.ranks[layer], 1)
        base = torch.addmm(base, self.g, self.bias[layer])
        return torch.addmm(base, (h @ self.down[layer]) * weights, self.up[layer])


class Gate(SideBySide):
    """A softmax over all experts for each domain."""

    def __init__(self, n_domains):
        super().__init__(n_domains)
        self.gate = nn.Parameter(torch.eye(n_domains))

    def weights(self, domains):
        return torch.softmax(self.gate, 1)[domains]


class OwnMasked(SideBySide):
    """Each row's own expert, by weights 0 and 1."""

    def __init__(self, n_domains):
        super().__init__(n_domains)
        self.register_buffer("own", torch.eye(n_domains))

    def weights(self, domains):
        return self.own[domains]


class OwnPerRow(nn.Module):
    """Each row's own expert, its factors fetched for the row and multiplied in a batch (bmm)."""

    def __init__(self, n_domains):
        super().__init__()
        widths = [3 * WIDTH, *HIDDEN]
        ranks = [out // REDUCE for out in HIDDEN]
        self.down = nn.ParameterList(nn.Parameter(torch.randn(n_domains, n, r) / n ** 0.5) for n, r in zip(widths, ranks))
        self.up = nn.ParameterList(nn.Parameter(torch.randn(n_domains, r, out) * 0.01) for r, out in zip(ranks, HIDDEN))
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(n_domains, out)) for out in HIDDEN)

    def start(self, domains):
        self.domains = domains

    def add(self, layer, h, base):
        low = torch.bmm(h.unsqueeze(1), self.down[layer][self.domains])
        return base + torch.bmm(low, self.up[layer][self.domains]).squeeze(1) + self.bias[layer][self.domains]


class OwnByDomain(OwnPerRow):
    """Each row's own expert; the rows of a batch put side by side by domain, two multiplications a domain."""

    def start(self, domains):
        order = torch.argsort(domains)
        present, counts = torch.unique_consecutive(domains[order], return_counts=True)
        self.order, self.present, self.counts = order, present.tolist(), counts.tolist()
        self.back = torch.argsort(order)

    def add(self, layer, h, base):
        parts = h[self.order].split(self.counts)
        added = [torch.addmm(self.bias[layer][d], part @ self.down[layer][d], self.up[layer][d])
                 for d, part in zip(self.present, parts)]
        return base + torch.cat(added)[self.back]


class Net(nn.Module):
    """ids [B, 3] -> logits [B]."""

    def __init__(self, n_ids, n_domains, experts=Plain, sparse=False):
        super().__init__()
        self.first_domain = n_ids - n_domains
        self.table = nn.Embedding(n_ids, WIDTH + 1, sparse=sparse)  # the last column is the linear term
        nn.init.normal_(self.table.weight, 0, 0.01)
        self.table.weight.data[:, WIDTH] = 0
        widths = [3 * WIDTH, *HIDDEN]
        self.layers = nn.ModuleList(nn.Linear(n, out) for n, out in zip(widths, HIDDEN))
        self.dropout = nn.Dropout(DROPOUT, inplace=True)
        self.experts = experts(n_domains)
        self.head = nn.Linear(HIDDEN[-1], 1)

    def forward(self, ids):
        values = self.table(ids)
        self.experts.start(ids[:, 2] - self.first_domain)
        h = values[:, :, :WIDTH].flatten(1)
        for l, layer in enumerate(self.layers):
            h = torch.relu_(self.experts.add(l, h, self.dropout(layer(h))))
        return self.head(h).squeeze(1) + values[:, :, WIDTH].sum(1)


# What is trained: the experts, whether the table's gradients are sparse, whether the gate alone trains.
FORMS = {"dense": (Plain, False, False), "sparse": (Plain, True, False), "gate": (Gate, False, True),
         "bmm": (OwnPerRow, False, False), "masked": (OwnMasked, False, False), "grouped": (OwnByDomain, False, False)}


class Rows:
    """Rows in memory, from columns of whole numbers; ids counted through all fields."""

    def __init__(self, user_ids, item_ids, places, labels, sizes):
        self.n_ids, self.n_domains = sum(sizes), sizes[2]
        ids = numpy.stack([numpy.asarray(user_ids, dtype=numpy.int64), numpy.asarray(item_ids, dtype=numpy.int64) + sizes[0],
                           numpy.asarray(places, dtype=numpy.int64) + sizes[0] + sizes[1]], 1)
        self.ids = torch.from_numpy(ids)
        self.labels = torch.from_numpy(numpy.asarray(labels, dtype=numpy.float32))


def train(rows, n_rows, epochs, form):
    """The network after `epochs` passes over the first n_rows rows."""
    experts, sparse, gate_only = FORMS[form]
    net = Net(rows.n_ids, rows.n_domains, experts, sparse)
    if gate_only:
        net.requires_grad_(False)
        net.experts.gate.requires_grad_(True)
    tables = list(net.table.parameters()) if sparse else []
    others = [p for p in net.parameters() if p.requires_grad and not any(p is table for table in tables)]
    optimizers = [torch.optim.Adam(others, lr=RATE, foreach=True)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam(tables, lr=RATE))
    loss_of = nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        for batch in torch.randperm(n_rows).split(BATCH):
            loss = loss_of(net(rows.ids.index_select(0, batch)), rows.labels.index_select(0, batch))
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    return net


class Scorer:
    """Our stored network: from the table bench.weight, as name -> (rows, cols, bytes)."""

    def __init__(self, stored):
        def tensor(name):
            rows, cols, data = stored[name]
            return torch.from_numpy(numpy.frombuffer(data, dtype="<f4").reshape(rows, cols).copy())

        fields = ("user_id", "item_id", "domain")
        self.sizes = [stored["embedding." + field][0] for field in fields]
        self.net = Net(sum(self.sizes), self.sizes[2])
        with torch.no_grad():
            self.net.table.weight.copy_(torch.cat([torch.cat([tensor("embedding." + f), tensor("linear." + f)], 1) for f in fields]))
            for l, layer in enumerate(self.net.layers):
                layer.weight.copy_(tensor("tower.%d.weight" % l).t())
                layer.bias.copy_(tensor("tower.%d.bias" % l)[0])
            self.net.head.weight.copy_(tensor("head.weight").t())
            self.net.head.bias.copy_(tensor("bias")[0])

    def rows(self, user_ids, item_ids, places):
        return Rows(user_ids, item_ids, places, [], self.sizes).ids

    def score(self, ids):
        return score(self.net, ids)


def score(net, ids):
    """[B, 3] -> probabilities [B]."""
    net.eval()
    with torch.inference_mode():
        return torch.cat([torch.sigmoid(net(batch)) for batch in ids.split(SCORE_BATCH)])


def seconds_of(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start
