#!/usr/bin/env python3
"""Holds the networks of torch_ctr.py against golden files (MODELS.md section 7).

usage: torch_check.py GOLDEN_FILE...

Compares logits, loss and every gradient of mode backbone in float64.  Prints the
largest error of each file, relative to the largest number of the tensor at hand
(see error), and "N passed, N failed" at the end; exit status 1 if one failed.
"""
import math
import sys

import torch
from torch import nn
from torch.nn import functional

from torch_ctr import Net, Shape, Table

TOLERANCE = 1e-6

# A tensor of one number (bias, linear of a numeric field) has no larger number to
# be held against.  Its gradient is a sum over all rows; where that cancels out,
# the nine digits of the file's tensors leave this much of it undecided.
ONE_NUMBER_ROUNDING = 1e-9


class Golden:
    """A golden file up to the end of its mode backbone."""

    def __init__(self, path):
        self.keys, self.fields, self.inputs = {}, [], {}
        self.tensors, self.gradients = {}, {}
        self.logits = self.loss = None
        mode = None
        with open(path) as file:
            if next(file) != "moemlora-golden 1\n":
                raise ValueError("not a golden file")
            for line in file:
                word, *rest = line.split()
                if word == "mode":
                    mode = rest[0]
                elif word in ("tensor", "grad"):
                    name, rows, cols, *values = rest
                    kept = self.tensors if word == "tensor" else self.gradients if mode == "backbone" else {}
                    kept[name] = torch.tensor([float(v) for v in values]).view(int(rows), int(cols))
                elif word == "field":
                    self.fields.append((rest[0], rest[1], int(rest[2])))
                elif word == "input":
                    self.inputs[rest[0]] = rest[1:]
                elif word == "label":
                    self.labels = torch.tensor([float(v) for v in rest])
                elif mode is None:
                    self.keys[word] = rest
                elif mode == "backbone" and word == "logit":
                    self.logits = torch.tensor([float(v) for v in rest])
                elif mode == "backbone" and word == "loss":
                    self.loss = torch.tensor(float(rest[0]))

    def shape(self):
        sizes = {key: [int(v) for v in self.keys[key]] for key in self.keys if key != "backbone"}
        given = {ours: sizes[theirs][0] for ours, theirs in (
            ("cross_layers", "cross_layers"), ("attention_layers", "attention_layers"),
            ("attention_heads", "attention_heads"), ("attention_width", "attention_dim")) if theirs in sizes}
        if "cin" in sizes:
            given["cin"] = tuple(sizes["cin"])
        return Shape(self.keys["backbone"][0], len(self.fields), sizes["dim"][0], tuple(sizes["hidden"]), **given)

    def numbers(self, field):
        """The inputs of a numeric field [B, 1] or of a vector [B, m]."""
        return torch.tensor([float(v) for v in self.inputs[field]]).view(len(self.labels), -1)

    def ids(self, field):
        """The lists of ids of a categorical or multi field."""
        return [[int(i) for i in v.strip("{}").split(",") if i] for v in self.inputs[field]]


class GoldenFields(nn.Module):
    """Fields of every kind.  Tables of ids are one Table, as in the bench."""

    def __init__(self, golden, shape, sparse):
        super().__init__()
        self.golden, self.offsets = golden, {}
        n_ids = 0
        for name, kind, size in golden.fields:
            if kind in ("categorical", "multi"):
                self.offsets[name] = n_ids
                n_ids += size
        self.table = Table(n_ids, shape, sparse)
        self.numeric = nn.ParameterDict()
        for name, kind, size in golden.fields:
            if kind == "numeric":
                self.numeric["embedding " + name] = nn.Parameter(torch.zeros(1, shape.width))
                if shape.has_linear:
                    self.numeric["linear " + name] = nn.Parameter(torch.zeros(1, 1))
            elif kind == "vector":
                self.numeric["projection " + name] = nn.Parameter(torch.zeros(size, shape.width))

    def mean_of_rows(self, ids):
        """One row: a list of ids -> the means of their embeddings [d] and linear terms [1] or None."""
        V, linear = self.table(torch.tensor(ids, dtype=torch.int64).unsqueeze(0))
        n = max(len(ids), 1)
        return V[0].sum(0) / n, None if linear is None else linear[0].sum(0, keepdim=True) / n

    def forward(self, golden):
        V, linear = [], []
        for name, kind, _ in golden.fields:
            if kind == "vector":
                V.append(golden.numbers(name) @ self.numeric["projection " + name])
            elif kind == "numeric":
                V.append(golden.numbers(name) @ self.numeric["embedding " + name])
                if self.table.linear is not None:
                    linear.append(golden.numbers(name) @ self.numeric["linear " + name])
            elif kind == "multi":
                rows = [self.mean_of_rows([i + self.offsets[name] for i in ids]) for ids in golden.ids(name)]
                V.append(torch.stack([v for v, _ in rows]))
                linear.append(None if self.table.linear is None else torch.stack([s for _, s in rows]))
            else:
                v, s = self.table(torch.tensor(golden.ids(name)) + self.offsets[name])
                V.append(v.squeeze(1))
                linear.append(s)
        return torch.stack(V, 1), None if self.table.linear is None else torch.cat(linear, 1)


def tower_weight(net, shape, weight, layer):
    """[in, out] of a layer, by golden row order: FiBiNET's pairs are (pair, senet or raw, d), ours (senet or raw, pair, d)."""
    if shape.backbone == "fibinet" and layer == 0:
        return weight.view(len(weight), 2, shape.n_pairs, shape.width).permute(2, 1, 3, 0)
    return weight.t()


def golden_views(net, shape, golden):
    """Golden name -> (parameter, function from a tensor of its shape to a view in golden order)."""
    views = {"bias": (net.head.bias, lambda t: t), "head.weight": (net.head.weight, lambda t: t)}
    for l, layer in enumerate(net.layers):
        views[f"tower.{l}.weight"] = (layer.weight, lambda t, l=l: tower_weight(net, shape, t, l))
        views[f"tower.{l}.bias"] = (layer.bias, lambda t: t)
    fields = net.fields
    for name, kind, size in golden.fields:
        for part, table in (("embedding", fields.table.embedding), ("linear", fields.table.linear)):
            if name in fields.offsets and table is not None:
                start = fields.offsets[name]
                views[f"{part}.{name}"] = (table, lambda t, start=start, size=size: t[start:start + size])
    for key, parameter in fields.numeric.items():
        views[key.replace(" ", ".")] = (parameter, lambda t: t)
    inner = net.interaction
    if shape.backbone == "dcn":
        for l in range(shape.cross_layers):
            views[f"cross.{l}.weight"] = (inner.weights[l], lambda t: t)
            views[f"cross.{l}.bias"] = (inner.biases[l], lambda t: t)
    elif shape.backbone == "autoint":
        for l in range(shape.attention_layers):
            for part, name in enumerate(("query", "key", "value", "residual")):
                views[f"attention.{l}.{name}"] = (inner.weights[l], lambda t, part=part: t.chunk(4, 1)[part])
    elif shape.backbone == "xdeepfm":
        for l in range(len(shape.cin)):
            views[f"cin.{l}.filter"] = (inner.filters[l], lambda t: t.t())
            views[f"cin.{l}.bias"] = (inner.biases[l], lambda t: t)
        views["cin.head.weight"] = (inner.head.weight, lambda t: t)
        views["cin.head.bias"] = (inner.head.bias, lambda t: t)
    elif shape.backbone == "fibinet":
        views["senet.squeeze"] = (inner.squeeze, lambda t: t)
        views["senet.excite"] = (inner.excite, lambda t: t)
        for name, parameter in (("senet", inner.senet), ("raw", inner.raw)):
            views[f"bilinear.{name}"] = (
                parameter, lambda t: t.view(shape.width, shape.n_pairs, shape.width).transpose(0, 1))
    return views


def error(ours, golden):
    """The largest difference, relative to the largest number; infinite where that is 0 and ours is not."""
    largest, difference = golden.abs().max().item(), (ours - golden).abs().max().item()
    if golden.numel() == 1:
        difference = max(difference - ONE_NUMBER_ROUNDING, 0)
    if largest == 0:
        return 0 if difference == 0 else math.inf
    return difference / largest


def check(path, sparse):
    """The largest error and what it is of."""
    golden = Golden(path)
    shape = golden.shape()
    net = Net(shape, GoldenFields(golden, shape, sparse))
    net.eval()  # without dropout
    views = golden_views(net, shape, golden)
    expected = {name for name in golden.tensors if not name.startswith(("expert.", "gate."))}
    if set(views) != expected:
        raise ValueError(f"not the same tensors: {set(views) ^ expected}")
    with torch.no_grad():
        for name, (parameter, view) in views.items():
            place = view(parameter)
            place.copy_(golden.tensors[name].view(place.shape))
    logits = net(golden)
    loss = functional.binary_cross_entropy_with_logits(logits, golden.labels)
    loss.backward()
    errors = {"logits": error(logits.detach(), golden.logits), "loss": error(loss.detach(), golden.loss)}
    for name, (parameter, view) in views.items():
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        gradient = view(gradient.to_dense() if gradient.is_sparse else gradient)
        # A gradient that the file does not have is zero.
        wanted = golden.gradients.get(name, torch.zeros_like(golden.tensors[name]))
        errors[name] = error(gradient, wanted.view(gradient.shape))
    worst = max(errors, key=errors.get)
    return errors[worst], worst, len(errors)


def main():
    torch.set_default_dtype(torch.float64)
    failed = 0
    for path in sys.argv[1:]:
        for sparse in (False, True):
            try:
                worst, name, n = check(path, sparse)
                is_equal, text = worst <= TOLERANCE, f"{n} tensors, largest error {worst:.1e} ({name})"
            except (KeyError, OSError, ValueError) as failure:
                is_equal, text = False, str(failure)
            failed += not is_equal
            print(f"{'ok' if is_equal else 'NOT EQUAL'}: {path}, {'sparse' if sparse else 'dense'} tables: {text}")
    passed = 2 * len(sys.argv[1:]) - failed
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
