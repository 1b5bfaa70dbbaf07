"""The nine networks in PyTorch, written to be fast on one thread of a CPU.

Net is the mathematics of mode backbone: embeddings, interactions, tower, logit.
torch_check.py holds it against the golden files, torch_peer.py measures it.

What was tried and found to be the fastest stays: all fields in one table that is
read by indexing, the products of pairs from one batched multiplication, attention
with the rows last and in slices that stay in the cache, the CIN as a convolution,
one multiplication per left field for the bilinear pairs.

Letters: B rows, F fields (the domain is the last), d embedding width, n_p pairs
of fields.  V [B, F, d] are the embeddings of a batch, x [B, F*d] the same.
"""
import dataclasses

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Shape:
    """What a network is made by; the defaults are the extension's."""
    backbone: str
    n_fields: int
    width: int
    hidden: tuple = (256, 128, 64)
    dropout: float = 0.5
    cross_layers: int = 2
    attention_layers: int = 3
    attention_heads: int = 4
    attention_width: int = 8
    cin: tuple = (128, 128)

    @property
    def has_linear(self):
        return self.backbone not in ("mlp", "pnn")

    @property
    def n_pairs(self):
        return self.n_fields * (self.n_fields - 1) // 2


def glorot(rows, cols, fan_in=None, fan_out=None):
    std = (2 / ((fan_in or rows) + (fan_out or cols))) ** 0.5
    return nn.Parameter(torch.randn(rows, cols) * std)


class Table(nn.Module):
    """Categorical fields, ids counted through all of them.  ids [B, F] -> V, linear terms [B, F] or None."""

    def __init__(self, n_ids, shape, sparse):
        super().__init__()
        self.sparse = sparse
        self.embedding = nn.Parameter(torch.randn(n_ids, shape.width) * 0.01)
        self.linear = nn.Parameter(torch.zeros(n_ids, 1)) if shape.has_linear else None

    def look_up(self, ids, table):
        return functional.embedding(ids, table, sparse=True) if self.sparse else table[ids]

    def forward(self, ids):
        linear = None if self.linear is None else self.look_up(ids, self.linear).squeeze(2)
        return self.look_up(ids, self.embedding), linear


class MaskDropout(nn.Module):
    """nn.Dropout with another source of random numbers, much faster where PyTorch is built without MKL."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, h):
        if not self.training or self.share == 0:
            return h
        return h.mul_((torch.rand_like(h) >= self.share) * (1 / (1 - self.share)))


class Interaction(nn.Module):
    """forward: V, x -> what enters the tower, what stands beside its output or None, what the logit gains or None."""
    side_width = 0

    def __init__(self, shape):
        super().__init__()
        self.h0_width = shape.n_fields * shape.width

    def forward(self, V, x):
        return x, None, None


def bi_interaction(V):
    return (V.sum(1).square() - V.square().sum(1)) * 0.5


class DeepFM(Interaction):
    def forward(self, V, x):
        return x, None, bi_interaction(V).sum(1)


class NFM(Interaction):
    def __init__(self, shape):
        super().__init__(shape)
        self.h0_width = shape.width

    def forward(self, V, x):
        return bi_interaction(V), None, None


class Products(Interaction):
    def __init__(self, shape):
        super().__init__(shape)
        left, right = torch.triu_indices(shape.n_fields, shape.n_fields, 1)
        self.register_buffer("pairs", left * shape.n_fields + right)
        self.h0_width += shape.n_pairs

    def forward(self, V, x):
        products = torch.bmm(V, V.transpose(1, 2)).flatten(1).index_select(1, self.pairs)
        return torch.cat([x, products], 1), None, None


class Cross(Interaction):
    def __init__(self, shape):
        super().__init__(shape)
        self.side_width = self.h0_width
        self.weights = nn.ParameterList(glorot(self.h0_width, 1) for _ in range(shape.cross_layers))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(self.h0_width)) for _ in range(shape.cross_layers))

    def forward(self, V, x):
        side = x
        for weight, bias in zip(self.weights, self.biases):
            side = torch.addcmul(side + bias, x, side @ weight)
        return x, side, None


class Attention(Interaction):
    SLICE = 1 << 20  # so many numbers of a product at once

    def __init__(self, shape):
        super().__init__(shape)
        self.heads, self.head_width, self.n_fields = shape.attention_heads, shape.attention_width, shape.n_fields
        out = self.heads * self.head_width
        widths = [shape.width] + [out] * (shape.attention_layers - 1)
        # Query, key, value, residual side by side.
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(width, 4 * out) * 0.05) for width in widths)
        self.side_width = shape.n_fields * out
        self.slice = max(32, self.SLICE // (shape.n_fields ** 2 * out))

    def attend(self, V):
        # [width, F*B], later [heads*head_width, F*B]: the rows are the fastest index.
        y = V.permute(2, 1, 0).flatten(1)
        for weight in self.weights:
            query, key, value, residual = (weight.t() @ y).view(4, self.heads, self.head_width, self.n_fields, -1)
            shares = torch.softmax((query.unsqueeze(3) * key.unsqueeze(2)).sum(1), 2)
            y = torch.relu_((shares.unsqueeze(1) * value.unsqueeze(2)).sum(3) + residual).view(-1, y.shape[1])
        return y.view(-1, self.n_fields, len(V)).permute(2, 1, 0).flatten(1)

    def forward(self, V, x):
        return x, torch.cat([self.attend(rows) for rows in V.split(self.slice)]), None


class CIN(Interaction):
    def __init__(self, shape):
        super().__init__(shape)
        self.sizes = shape.cin
        self.kept = [size // 2 for size in shape.cin[:-1]] + [0]  # of a layer's maps; the others go out
        before = [shape.n_fields] + self.kept[:-1]
        self.filters = nn.ParameterList(glorot(size, shape.n_fields * maps) for size, maps in zip(self.sizes, before))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in self.sizes)
        self.head = nn.Linear(sum(self.sizes) - sum(self.kept), 1)

    def forward(self, V, x):
        maps, out = V, []
        for weight, bias, kept in zip(self.filters, self.biases, self.kept):
            products = (V.unsqueeze(2) * maps.unsqueeze(1)).flatten(1, 2)
            maps = torch.relu_(functional.conv1d(products, weight.unsqueeze(2), bias))
            out.append(maps[:, kept:].sum(2))
            maps = maps[:, :kept]
        return x, None, self.head(torch.cat(out, 1)).squeeze(1)


class FiBiNET(Interaction):
    def __init__(self, shape):
        super().__init__(shape)
        squeezed = max(1, shape.n_fields // 3)
        self.squeeze = glorot(shape.n_fields, squeezed)
        self.excite = glorot(squeezed, shape.n_fields)
        # Of every pair a [d, d] matrix, the pairs side by side.
        self.senet = glorot(shape.width, shape.n_pairs * shape.width, fan_out=shape.width)
        self.raw = glorot(shape.width, shape.n_pairs * shape.width, fan_out=shape.width)
        self.blocks = [n * shape.width for n in range(shape.n_fields - 1, 0, -1)]
        self.h0_width = 2 * shape.n_pairs * shape.width

    def bilinear(self, V, weight):
        return [(V[:, left] @ block) * V[:, left + 1:].flatten(1)
                for left, block in enumerate(weight.split(self.blocks, 1))]

    def forward(self, V, x):
        excitation = torch.relu(torch.relu(V.mean(2) @ self.squeeze) @ self.excite)
        pairs = self.bilinear(V * excitation.unsqueeze(2), self.senet) + self.bilinear(V, self.raw)
        return torch.cat(pairs, 1), None, None


INTERACTIONS = {"mlp": Interaction, "wdl": Interaction, "deepfm": DeepFM, "nfm": NFM, "pnn": Products, "dcn": Cross,
                "autoint": Attention, "xdeepfm": CIN, "fibinet": FiBiNET}


class Net(nn.Module):
    """inputs, whatever `fields` takes -> logits [B]."""

    def __init__(self, shape, fields, dropout=nn.Dropout):
        super().__init__()
        self.fields = fields
        self.interaction = INTERACTIONS[shape.backbone](shape)
        widths = [self.interaction.h0_width, *shape.hidden]
        self.layers = nn.ModuleList(nn.Linear(width, out) for width, out in zip(widths, shape.hidden))
        self.dropout = dropout(shape.dropout)
        self.head = nn.Linear(self.interaction.side_width + widths[-1], 1)

    def forward(self, inputs):
        V, linear = self.fields(inputs)
        h, side, extra = self.interaction(V, V.flatten(1))
        for layer in self.layers:
            h = torch.relu_(self.dropout(layer(h)))
        if side is not None:
            h = torch.cat([side, h], 1)
        logit = self.head(h).squeeze(1)
        if linear is not None:
            logit = logit + linear.sum(1)
        return logit if extra is None else logit + extra
