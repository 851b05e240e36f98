"""The network: what a score may depend on, and what learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.losses import cross_entropy as loss
from seqtune.tasks.recommend.losses.cross_entropy import item_cross_entropy
from seqtune.tasks.recommend.models import build_model, load_model
from seqtune.tasks.recommend.models.layers.dropout import FastDropout
from seqtune.tasks.recommend.models.transformer import ItemTransformer
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig
from seqtune.tasks.recommend.objectives import next_items

NUM_ITEMS = 50
MASK = NUM_ITEMS + 1
RELATIVE = " with relative positions"
FILTERED = " with a filter"
ALONE = " alone"
"""Without absolute positions."""


def make(*, seed: int = 0, std: float = 0.2, **settings: object) -> ItemTransformer:
    """A model whose scores differ visibly (init_std 0.2) and that drops nothing."""
    values = {"hidden_units": 32, "num_heads": 4, "num_layers": 2, "max_len": 64}
    values |= {"dropout_rate": 0.0, "init_std": std}
    named = str(settings.get("objective", "cloze"))
    settings |= {
        "objective": named.split()[0],
        "relative_positions": RELATIVE in named,
        "absolute_positions": ALONE not in named,
        "filter_share": 0.7 * (FILTERED in named),
    }
    torch.manual_seed(seed)
    model = build_model(TransformerConfig(**{**values, **settings}), num_items=NUM_ITEMS, sides={})
    for name, parameter in model.named_parameters():
        if name.endswith("distances"):
            nn.init.normal_(parameter, std=2.0)
    return model


def sequence(*items: int, width: int) -> Tensor:
    row = torch.zeros(1, width, dtype=torch.int32)
    row[0, width - len(items) :] = torch.tensor(items)
    return row


OBJECTIVES = pytest.mark.parametrize(
    "objective",
    [
        *("cloze", f"cloze{RELATIVE}", f"cloze{RELATIVE}{ALONE}"),
        *("causal", f"causal{RELATIVE}", f"causal{RELATIVE}{ALONE}", f"causal{FILTERED}"),
    ],
)


@OBJECTIVES
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("width", [5, 17, 64])
def test_scores_do_not_depend_on_the_width_of_the_padding(
    mode: str, width: int, objective: str
) -> None:
    model = make(objective=objective).train(mode == "train")
    narrow = model.next_item_scores(sequence(7, 3, 9, MASK, width=4))
    wide = model.next_item_scores(sequence(7, 3, 9, MASK, width=width))
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=0)
    assert narrow.std() > 0.1


@OBJECTIVES
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_scores_do_not_depend_on_the_other_rows_of_the_batch(mode: str, objective: str) -> None:
    model = make(objective=objective).train(mode == "train")
    alone = model.next_item_scores(sequence(7, 3, 9, MASK, width=4))
    others = torch.randint(1, NUM_ITEMS + 1, (30, 64), dtype=torch.int32)
    batch = torch.cat([others[:13], sequence(7, 3, 9, MASK, width=64), others[13:]])
    torch.testing.assert_close(model.next_item_scores(batch)[13:14], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("named", ["", RELATIVE, f"{RELATIVE}{ALONE}"])
def test_order_matters_and_so_does_what_comes_after(named: str) -> None:
    model = make(objective=f"cloze{named}").eval()
    forward = model.next_item_scores(sequence(7, 3, 9, MASK, width=4))
    backward = model.next_item_scores(sequence(9, 3, 7, MASK, width=4))
    assert not torch.allclose(forward, backward, atol=1e-3)
    hidden = model(torch.tensor([[7, MASK, 9], [7, MASK, 10]]))
    assert not torch.allclose(hidden[0, 1], hidden[1, 1], atol=1e-3)  # bidirectional


CAUSAL = pytest.mark.parametrize("relative", [False, True])


@CAUSAL
def test_a_causal_model_sees_nothing_that_comes_after(relative: bool) -> None:
    model = make(objective="causal with relative positions" if relative else "causal")
    items = torch.randint(1, NUM_ITEMS + 1, (3, 9), dtype=torch.int32)
    items[1, :4] = 0
    changed = items.clone()
    changed[:, 6:] = 1 + changed[:, 6:] % NUM_ITEMS
    before, after = model(items), model(changed)
    torch.testing.assert_close(after[:, :6], before[:, :6], atol=1e-6, rtol=0)
    assert not torch.allclose(after[:, 6:], before[:, 6:], atol=1e-3)


@CAUSAL
@pytest.mark.parametrize("attention_dropout", [False, True])
def test_a_causal_model_predicts_what_it_was_trained_to(
    attention_dropout: bool, relative: bool
) -> None:
    """The item behind the last one: the same from the whole sequence and from its end alone."""
    objective = "causal with relative positions" if relative else "causal"
    model = make(objective=objective, attention_dropout=attention_dropout)
    items = torch.randint(1, NUM_ITEMS + 1, (4, 10), dtype=torch.int32)
    items[2, :7] = 0
    items[:, -1] = MASK
    asked = next_items(items)
    trained_on = model.logits(model.hidden_at(asked.inputs, torch.arange(8, 36, 9)))
    torch.testing.assert_close(model.next_item_scores(items), trained_on, atol=1e-5, rtol=0)


def test_a_causal_model_can_be_asked_for_users_without_history() -> None:
    scores = make(objective="causal").eval().next_item_scores(torch.tensor([[MASK], [MASK]]))
    assert scores.shape == (2, NUM_ITEMS)
    assert bool(scores.isfinite().all())


@OBJECTIVES
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_row_of_padding_only_gives_numbers_and_disturbs_nobody(mode: str, objective: str) -> None:
    model = make(objective=objective).train(mode == "train")
    items = torch.cat([sequence(1, 2, MASK, width=6), torch.zeros(1, 6, dtype=torch.int32)])
    hidden = model(items)
    hidden.sum().backward()
    assert bool(hidden.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(hidden[0, 3:], model(items[:1, 3:])[0], atol=1e-5, rtol=0)


@OBJECTIVES
@pytest.mark.parametrize("attention_dropout", [False, True])
def test_wanted_positions_are_those_of_the_whole(attention_dropout: bool, objective: str) -> None:
    model = make(objective=objective, attention_dropout=attention_dropout)
    items = torch.randint(1, NUM_ITEMS + 1, (5, 12), dtype=torch.int32)
    items[1, :9] = 0
    positions = torch.tensor([3, 7, 11, 23, 24, 25, 26, 59])  # none of row 3
    whole = model(items).flatten(0, 1)[positions]
    torch.testing.assert_close(model.hidden_at(items, positions), whole, atol=1e-5, rtol=0)


def test_wanted_positions_give_the_gradients_of_the_whole() -> None:
    items = torch.randint(1, NUM_ITEMS + 1, (4, 6), dtype=torch.int32)
    positions, targets = torch.tensor([1, 2, 9, 23]), torch.tensor([4, 8, 15, 16])
    gradients = []
    for loss_of in (
        lambda model: model.loss(items, positions, targets),
        lambda model: functional.cross_entropy(
            model.logits(model(items).flatten(0, 1)[positions]), targets - 1
        ),
    ):
        model = make()
        loss_of(model).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for ours, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, whole, atol=1e-6, rtol=1e-4)


def test_a_sequence_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"9 items is longer than max_len=8"):
        make(max_len=8)(torch.ones(1, 9, dtype=torch.int32))


def test_shared_output_is_the_item_embedding_and_a_separate_one_is_not() -> None:
    shared, separate = make(share_embeddings=True), make(share_embeddings=False)
    hidden = torch.randn(3, 32)
    expected = hidden @ shared.items.weight[1 : NUM_ITEMS + 1].T + shared.item_bias
    torch.testing.assert_close(shared.logits(hidden), expected)
    assert separate.output is not None
    torch.testing.assert_close(separate.logits(hidden), hidden @ separate.output.weight.T)
    assert sum(p.numel() for p in separate.parameters()) - sum(
        p.numel() for p in shared.parameters()
    ) == (NUM_ITEMS * 32)


@pytest.mark.parametrize("share", [True, False])
def test_every_parameter_learns_and_the_padding_row_stays_zero(share: bool) -> None:
    model = make(share_embeddings=share).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    items = torch.randint(1, NUM_ITEMS + 1, (8, 10), dtype=torch.int32)
    items[:4, :5] = 0
    for _ in range(3):
        optimizer.zero_grad()
        model.loss(items, torch.arange(9, 80, 10), torch.arange(1, 9)).backward()
        optimizer.step()
    assert bool((model.items.weight[0] == 0).all())
    unchanged = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert unchanged == []


def test_initial_weights() -> None:
    model = make(std=0.02, hidden_units=64).requires_grad_(requires_grad=False)
    assert model.items.weight[1:].std() == pytest.approx(0.02, rel=0.1)
    assert model.positions.std() == pytest.approx(0.02, rel=0.1)
    assert model.blocks[0].widen.weight.std() == pytest.approx(0.02, rel=0.1)
    assert bool((model.blocks[0].widen.bias == 0).all())
    assert bool((model.items.weight[0] == 0).all())


def test_bf16_is_close_to_fp32_and_scores_come_back_in_fp32() -> None:
    items = torch.randint(1, NUM_ITEMS + 1, (6, 20), dtype=torch.int32)
    for training in (False, True):
        model = make().train(training)
        exact = model.next_item_scores(items)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.next_item_scores(items)
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, exact, atol=0.15, rtol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_in_pieces_is_that_of_sdpa(dtype: torch.dtype) -> None:
    """Dropout of a rate that drops nothing takes the way in pieces."""
    model = make(attention_dropout=True)
    items = torch.randint(1, NUM_ITEMS + 1, (6, 20), dtype=torch.int32)
    items[2, :15] = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = model.eval().next_item_scores(items)
        for block in model.train().blocks:
            block.attention.dropout = FastDropout(1e-9)
        tolerance = 1e-5 if dtype == torch.float32 else 0.15
        torch.testing.assert_close(
            model.next_item_scores(items), expected, atol=tolerance, rtol=0.1 * (tolerance > 0.1)
        )


class TestSides:
    def model(self, split: SplitData, **settings: object) -> ItemTransformer:
        torch.manual_seed(0)
        config = TransformerConfig(
            hidden_units=16,
            num_heads=2,
            num_layers=1,
            max_len=8,
            dropout_rate=0.0,
            init_std=0.2,
            **{"use_genre_emb": True, **settings},
        )
        return build_model(config, num_items=split.num_items, sides=split.sides)

    def test_an_items_input_is_its_embedding_plus_the_mean_of_its_values(
        self, tiny_split: SplitData
    ) -> None:
        model = self.model(tiny_split)
        genre = model.sides["genre"].embedding.weight
        table = model._table()
        torch.testing.assert_close(table[2], model.items.weight[2] + (genre[1] + genre[2]) / 2)
        torch.testing.assert_close(table[4], model.items.weight[4])  # has no genre
        torch.testing.assert_close(table[9], model.items.weight[9])  # [MASK]
        assert bool((table[0] == 0).all())

    def test_they_change_scores_and_learn(self, tiny_split: SplitData) -> None:
        model = self.model(tiny_split)
        items = torch.tensor([[1, 2, 3, 9]])
        before = model.next_item_scores(items)
        model.loss(items, torch.tensor([3]), torch.tensor([5])).backward()
        weight = model.sides["genre"].embedding.weight
        assert weight.grad is not None
        assert bool((weight.grad[1:] != 0).any(dim=1).all())
        assert bool((weight.grad[0] == 0).all())
        with torch.no_grad():
            weight[1, ::2] += 1.0
        assert not torch.allclose(model.next_item_scores(items), before, atol=1e-3)

    def test_with_a_separate_output_they_are_input_only(self, tiny_split: SplitData) -> None:
        model = self.model(tiny_split, share_embeddings=False)
        hidden = torch.randn(2, 16)
        before = model.logits(hidden)
        with torch.no_grad():
            model.sides["genre"].embedding.weight.add_(1.0)
        torch.testing.assert_close(model.logits(hidden), before)

    def test_weights_alone_rebuild_the_model(self, tiny_split: SplitData) -> None:
        model = self.model(tiny_split).eval()
        config = TransformerConfig(
            hidden_units=16, num_heads=2, num_layers=1, max_len=8, use_genre_emb=True
        )
        saved = model.state_dict()
        items = torch.tensor([[1, 2, 3, 9]])
        again = load_model(config, saved)
        assert not again.training
        assert torch.equal(again.next_item_scores(items), model.next_item_scores(items))


class TestCheapDropout:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    def test_expectation_and_share(self, dtype: torch.dtype, rate: float) -> None:
        dropout = FastDropout(rate)
        torch.manual_seed(0)
        out = dropout(torch.ones(1_000_001, dtype=dtype)).double()
        assert (out == 0).double().mean() == pytest.approx(rate, abs=0.002)
        kept = out[out != 0]
        scale = torch.tensor(1 / (1 - dropout.applied_rate), dtype=dtype).double()
        assert bool((kept == scale).all())
        assert dropout.applied_rate == pytest.approx(rate, abs=1e-5)

    def test_neighbours_are_independent(self) -> None:
        torch.manual_seed(0)
        zero = (FastDropout(0.3)(torch.ones(400_000)) == 0).double()
        for distance in (1, 2, 3, 4, 8, 64):
            both = (zero[distance:] * zero[:-distance]).mean()
            assert both == pytest.approx(0.09, abs=0.003)

    def test_gradient_passes_where_the_value_passed(self) -> None:
        x = torch.randn(64, 33, requires_grad=True)
        out = FastDropout(0.4)(x)
        out.backward(torch.full_like(out, 2.0))
        assert x.grad is not None
        torch.testing.assert_close(x.grad, 2.0 * out.detach() / x.detach())

    def test_nothing_in_evaluation_and_nothing_at_rate_zero(self) -> None:
        x = torch.randn(10)
        assert FastDropout(0.5).eval()(x) is x
        assert FastDropout(0.0).train()(x) is x

    def test_the_global_seed_repeats_it_and_successive_calls_differ(self) -> None:
        dropout, x = FastDropout(0.5), torch.ones(1000)
        torch.manual_seed(3)
        first, second = dropout(x), dropout(x)
        torch.manual_seed(3)
        assert torch.equal(dropout(x), first)
        assert not torch.equal(first, second)

    def test_not_contiguous_input(self) -> None:
        x = torch.arange(1.0, 13.0).view(3, 4).t()
        out = FastDropout(0.5)(x)
        assert out.shape == x.shape
        assert bool(((out == 0) | (out == 2 * x)).all())


class TestItemCrossEntropy:
    @pytest.mark.parametrize("num_items", [7, 5000])
    def test_value_and_gradients_are_torchs(self, num_items: int) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.randn(s, generator=generator) for s in ((333, 8), (num_items, 8))]
        inputs.append(torch.randn(num_items, generator=generator))
        columns = torch.randint(num_items, (333,), generator=generator)
        results = []
        for loss_of in (
            item_cross_entropy,
            lambda h, w, b, c: functional.cross_entropy(functional.linear(h, w, b), c),
        ):
            leaves = [tensor.clone().requires_grad_() for tensor in inputs]
            loss = loss_of(*leaves, columns)
            (3.0 * loss).backward()
            results.append([loss.detach(), *(leaf.grad for leaf in leaves)])
        for ours, torchs in zip(*results, strict=True):
            torch.testing.assert_close(ours, torchs, atol=2e-6, rtol=1e-4)

    def test_whether_the_largest_logit_is_looked_for_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hidden, weight, bias = torch.randn(40, 8), torch.randn(30, 8), torch.randn(30)
        assert loss._is_safe(hidden, weight, bias)
        assert not loss._is_safe(9.0 * hidden, weight, bias)
        assert not loss._is_safe(hidden, weight, bias - 100.0)
        results = []
        for is_safe in (True, False):
            monkeypatch.setattr(loss, "_is_safe", lambda *_, answer=is_safe: answer)
            leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
            value = item_cross_entropy(*leaves, torch.arange(40) % 30)
            results.append([value.detach(), *torch.autograd.grad(value, leaves)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)

    def test_large_logits_do_not_overflow(self) -> None:
        hidden = torch.full((2, 4), 500.0, requires_grad=True)
        loss = item_cross_entropy(hidden, torch.eye(4), torch.zeros(4), torch.tensor([0, 3]))
        loss.backward()
        assert float(loss.detach()) == pytest.approx(torch.log(torch.tensor(4.0)).item())
        assert hidden.grad is not None
        assert bool(hidden.grad.isfinite().all())

    def test_bf16_accumulates_in_fp32(self) -> None:
        hidden = torch.randn(64, 16, dtype=torch.bfloat16, requires_grad=True)
        weight = torch.randn(100, 16, requires_grad=True)
        loss = item_cross_entropy(hidden, weight, torch.zeros(100), torch.zeros(64).long())
        loss.backward()
        assert loss.dtype == torch.float32
        assert hidden.grad is not None
        assert weight.grad is not None
        assert (hidden.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.float32)
