"""The networks that a safetensors file may hold: their numbers, their tensors, and the formula of each.

Input is `x`, float32: (N, F) for the MLP, (N, T, F) with the oldest row first for all others; F features, T the
window. Output is one logit a sample, (N, 1). `σ` is ReLU. A file holds exactly the tensors that `tensors` names.
Weights are named and laid out so that ONNX can use them where they lie: those of 2-D products are (out, in) as in
PyTorch's Linear, those that multiply sequences (PatchTst) are (in, out), recurrent ones are ONNX's own, with gates
in ONNX's order (PyTorch's differs: see Lstm and Gru).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

import msgspec

Size = Annotated[int, msgspec.Meta(ge=1, le=8192)]
Count = Annotated[int, msgspec.Meta(ge=1, le=32)]
Sizes = Annotated[tuple[Size, ...], msgspec.Meta(min_length=1, max_length=32)]
Shapes = dict[str, tuple[int, ...]]


class Mlp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="mlp"):
    """h₀ = x, hᵢ₊₁ = σ(hᵢ·Wᵢᵀ + bᵢ), the last layer without σ. Tensors: layers.i.weight (out, in), layers.i.bias."""

    hidden: Sizes


class Lstm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="lstm"):
    """ONNX's LSTM, `layers` deep, then a linear head on the last layer's last state.

    Tensors: rnn.i.W (1, 4H, in), rnn.i.R (1, 4H, H), rnn.i.B (1, 8H: first the input's, then the state's biases),
    gates in the order input, output, forget, cell (PyTorch: input, forget, cell, output); head.weight (1, H),
    head.bias (1).
    """

    hidden: Size
    layers: Count = 1


class Gru(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="gru"):
    """ONNX's GRU with linear_before_reset=1 (as PyTorch and cuDNN compute it), `layers` deep, then a linear head.

    Tensors: rnn.i.W (1, 3H, in), rnn.i.R (1, 3H, H), rnn.i.B (1, 6H: first the input's, then the state's biases),
    gates in the order update, reset, hidden (PyTorch: reset, update, hidden); head.weight (1, H), head.bias (1).
    """

    hidden: Size
    layers: Count = 1


class Tcn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tcn"):
    """Causal convolutions with dilation 2ⁱ at level i: h₁ = σ(conv₀(x)), hᵢ₊₁ = hᵢ + σ(convᵢ(hᵢ)); head on the last.

    Each is padded on the left alone, by (kernel − 1)·2ⁱ zeros (Bai et al. 2018, without their normalisation).
    Tensors: conv.i.weight (channels, in, kernel), conv.i.bias; head.weight (1, channels), head.bias (1).
    """

    channels: Size
    levels: Count
    kernel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3


class PatchTst(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="patchtst"):
    """A transformer over patches of the window (after Nie et al. 2023), all features of a patch in one token.

    z = patches·E + e + P, patches being (T / patch, patch·F) row by row; then per layer, with softmax attention over
    `heads` heads of width / heads, scores divided by √(width / heads), and a layer norm (ε = 1e-5) after each half:
    z = norm₁(z + attention(z)), z = norm₂(z + σ(z·U + u)·D + d); the flattened z goes into a linear head.
    Tensors: embed.weight (patch·F, width), embed.bias, position (T / patch, width); per layer i blocks.i.{query,key,
    value,out}.weight (width, width), .bias, blocks.i.up.weight (width, feed), .bias, blocks.i.down.weight (feed,
    width), .bias, blocks.i.norm1.weight, .bias, blocks.i.norm2.weight, .bias; head.weight (1, T / patch·width),
    head.bias (1).
    """

    patch: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    width: Size
    heads: Count
    layers: Count
    feed: Size


class Nhits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="nhits"):
    """Stacks that see the window at several resolutions (after Challu et al. 2023); their logits add up.

    Stack i takes the greatest value of every `poolsᵢ` rows of each feature (what remains at the end is left out),
    flattened feature by feature into (F·⌊T / poolᵢ⌋), through an MLP of the `hidden` sizes with σ, into one number.
    Tensors: stacks.i.layers.j.weight (out, in), stacks.i.layers.j.bias; stacks.i.head.weight (1, in),
    stacks.i.head.bias (1).
    """

    pools: Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=1024)], ...], msgspec.Meta(min_length=1, max_length=8)]
    hidden: Sizes


Architecture = Mlp | Lstm | Gru | Tcn | PatchTst | Nhits
GATES = {Lstm: 4, Gru: 3}


def kind(architecture: Architecture) -> str:
    """Its name in metadata: mlp, lstm, gru, tcn, patchtst or nhits."""
    return str(architecture.__struct_config__.tag)


def misfit(architecture: Architecture, window: int) -> str | None:
    """Why an architecture cannot read windows of this many rows, or None when it can."""
    match architecture:
        case Mlp() if window != 1:
            return f"Expected a window of 1 for an MLP, was {window}."
        case PatchTst(patch=patch) if window % patch:
            return f"Expected a window that patches of {patch} fill, was {window}."
        case PatchTst(width=width, heads=heads) if width % heads:
            return f"Expected a width that {heads} heads share, was {width}."
        case Nhits(pools=pools) if max(pools) > window:
            return f"Expected pools of at most the window, {window}, was {max(pools)}."
    return None


def tensors(architecture: Architecture, features: int, window: int) -> Shapes:
    """The name and shape of every tensor, in the order of the computation."""
    match architecture:
        case Mlp(hidden=hidden):
            return dict(_linears("layers", (features, *hidden, 1)))
        case Lstm() | Gru():
            return dict(_recurrent(architecture, features))
        case Tcn():
            return dict(_convolutions(architecture, features))
        case PatchTst():
            return dict(_patches(architecture, features, window))
        case Nhits():
            return dict(_stacks(architecture, features, window))


def activations(architecture: Architecture, features: int, window: int) -> int:
    """The most numbers that one sample has between two steps of the computation."""
    match architecture:
        case Mlp(hidden=hidden):
            return max(features, *hidden)
        case Lstm(hidden=size) | Gru(hidden=size):
            return window * max(features, GATES[type(architecture)] * size)
        case Tcn(channels=channels, kernel=kernel):
            return window * kernel * max(features, channels)
        case PatchTst(patch=patch, width=width, heads=heads, feed=feed):
            patches = window // patch
            return patches * max(patch * features, width, feed, heads * patches)
        case Nhits(hidden=hidden):
            return max(features * window, *hidden)


def _linears(name: str, sizes: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer, (size, following) in enumerate(pairwise(sizes)):
        yield f"{name}.{layer}.weight", (following, size)
        yield f"{name}.{layer}.bias", (following,)


def _head(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (1, size)
    yield f"{name}.bias", (1,)


def _recurrent(architecture: Lstm | Gru, features: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, size = architecture.hidden, features
    rows = GATES[type(architecture)] * hidden
    for layer in range(architecture.layers):
        yield f"rnn.{layer}.W", (1, rows, size)
        yield f"rnn.{layer}.R", (1, rows, hidden)
        yield f"rnn.{layer}.B", (1, 2 * rows)
        size = hidden
    yield from _head("head", hidden)


def _convolutions(architecture: Tcn, features: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    channels, size = architecture.channels, features
    for level in range(architecture.levels):
        yield f"conv.{level}.weight", (channels, size, architecture.kernel)
        yield f"conv.{level}.bias", (channels,)
        size = channels
    yield from _head("head", channels)


def _patches(architecture: PatchTst, features: int, window: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, patches = architecture.width, window // architecture.patch
    yield from _across("embed", architecture.patch * features, width)
    yield "position", (patches, width)
    for layer in range(architecture.layers):
        for part in ("query", "key", "value", "out"):
            yield from _across(f"blocks.{layer}.{part}", width, width)
        yield from _across(f"blocks.{layer}.up", width, architecture.feed)
        yield from _across(f"blocks.{layer}.down", architecture.feed, width)
        for norm in ("norm1", "norm2"):
            yield f"blocks.{layer}.{norm}.weight", (width,)
            yield f"blocks.{layer}.{norm}.bias", (width,)
    yield from _head("head", patches * width)


def _across(name: str, size: int, following: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (size, following)
    yield f"{name}.bias", (following,)


def _stacks(architecture: Nhits, features: int, window: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for stack, pool in enumerate(architecture.pools):
        sizes = (features * (window // pool), *architecture.hidden)
        yield from _linears(f"stacks.{stack}.layers", sizes)
        yield from _head(f"stacks.{stack}.head", sizes[-1])
